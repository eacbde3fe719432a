package client

import (
	"testing"
)

// eachOther makes the calls of policies.go, retention.go, webhooks.go and others.go.
func eachOther(t *testing.T, c *Client) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	number := func(n int64, err error) {
		t.Helper()
		if err != nil || n != 42 {
			t.Errorf("%d %v", n, err)
		}
	}
	text := func(_ string, err error) { t.Helper(); ok(err) }
	all(t, c.Labels(ctx, 0))
	all(t, c.Labels(ctx, 1))
	number(c.CreateLabel(ctx, Label{Name: "a", ProjectID: 1}))
	ok(c.UpdateLabel(ctx, Label{ID: 1, Name: "a"}))
	ok(c.DeleteLabel(ctx, 1))
	ok(c.AddLabel(ctx, "p", "a/b", "1", 1))
	ok(c.RemoveLabel(ctx, "p", "a/b", "1", 1))

	scopes, tags := Patterns("**", "v*")
	all(t, c.ImmutableRules(ctx, "p"))
	number(c.CreateImmutableRule(ctx, "p", ImmutableRule{Tags: tags, Scopes: scopes}))
	ok(c.UpdateImmutableRule(ctx, "p", ImmutableRule{ID: 1, Tags: tags, Scopes: scopes}))
	ok(c.DeleteImmutableRule(ctx, "p", 1))

	r, err := c.Retention(ctx, 1)
	ok(err)
	if _, err := c.SetRetention(ctx, r); err != nil {
		t.Error(err)
	}
	r.ID = 0
	number(c.SetRetention(ctx, r))
	ok(c.DeleteRetention(ctx, 1))
	number(c.RunRetention(ctx, 1, true))
	all(t, c.RetentionRuns(ctx, 1))
	ok(c.StopRetention(ctx, 1, 2))
	all(t, c.RetentionTasks(ctx, 1, 2))
	text(c.RetentionLog(ctx, 1, 2, 3))

	secret := "s"
	w := NewWebhook{Name: "w", Events: []string{"PUSH_ARTIFACT"}, Targets: []NewWebhookTarget{{Type: "http", Address: "https://x", Secret: &secret}}}
	all(t, c.Webhooks(ctx, "p"))
	number(c.CreateWebhook(ctx, "p", w))
	ok(c.UpdateWebhook(ctx, "p", 1, w))
	ok(c.DeleteWebhook(ctx, "p", 1))
	_, err = c.WebhookEvents(ctx, "p")
	ok(err)
	all(t, c.Deliveries(ctx, "p", 1, "Error"))
	number(c.RetryDelivery(ctx, "p", 1, 2))
	text(c.DeliveryLog(ctx, "p", 1, 2))

	all(t, c.Registries(ctx))
	number(c.CreateRegistry(ctx, NewRegistry{Name: "r", Type: "docker-hub", URL: "https://hub.docker.com", Credential: &RegistryCredential{Type: "basic"}}))
	ok(c.PingRegistry(ctx, 1))
	ok(c.DeleteRegistry(ctx, 1))
	_, err = c.RegistryTypes(ctx)
	ok(err)
	id := int64(1)
	number(c.CreateProject(ctx, ProjectRequest{Name: "cache", Registry: &id}))

	all(t, c.VCHs(ctx, ""))
	all(t, c.VCHs(ctx, "p"))
	_, err = c.PingVCH(ctx, 1)
	ok(err)
	ok(c.DeleteVCH(ctx, 1))

	for _, user := range []int64{0, 1} {
		_, err = c.Sessions(ctx, user)
		ok(err)
		ok(c.EndSessions(ctx, user))
	}
	ok(c.EndSession(ctx, "x"))

	all(t, c.Jobs(ctx, "WEBHOOK", "Error"))
	_, err = c.Job(ctx, 1)
	ok(err)
	ok(c.StopJob(ctx, 1))
	text(c.JobLog(ctx, 1))
	_, err = c.JobQueues(ctx)
	ok(err)
	all(t, c.JobSchedules(ctx))

	_, err = c.Search(ctx, "a")
	ok(err)
	_, err = c.Settings(ctx)
	ok(err)
	ok(c.Set(ctx, map[string]any{"read_only": true}))
	l, err := c.Allowlist(ctx)
	ok(err)
	ok(c.SetAllowlist(ctx, l))
}
