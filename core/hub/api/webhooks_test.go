package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/store"
)

func TestWebhooksByTheAPI(t *testing.T) {
	eachRig(t, func(r *rig) {
		came := make(chan string, 10)
		target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			b, _ := io.ReadAll(q.Body)
			came <- q.Header.Get("Authorization") + " " + string(b)
		}))
		r.t.Cleanup(target.Close)
		const user, all = "devops-admin", "/projects/private/webhook/policies"
		body := fmt.Sprintf(`{"name":"ci","description":"d","enabled":true,"event_types":["PUSH_ARTIFACT"],
			"targets":[{"type":"http","address":%q,"auth_header":"Bearer abc","secret":"s3cr3t"}]}`, target.URL)
		header := r.api(user, "POST", all, body, 201, nil)
		one := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(user, "POST", all, body, 409, nil)
		r.api(user, "POST", all, `{"name":"x","event_types":["PUSH_ARTIFACT"],"targets":[{"type":"slack","address":"https://example.com"}]}`, 400, nil)
		r.api(user, "POST", all, `{"name":"x","event_types":["PUSH_ARTIFACT"],"targets":[{"type":"http","address":"http://10.0.0.1"}]}`, 400, nil)
		var p webhookForm
		if r.api(user, "GET", one, "", 200, &p); p.Name != "ci" || p.Targets[0].Header != hiddenHeader || !p.Targets[0].Signed || p.Creator != "devops-admin" {
			r.t.Errorf("%+v", p)
		}
		if _, _, text := r.do(user, "GET", Prefix+one, "", ""); strings.Contains(text, "abc") || strings.Contains(text, "s3cr3t") {
			r.t.Error(text)
		}
		r.api(user, "GET", strings.Replace(one, "private", "public", 1), "", 404, nil)

		// As Harbor's clients do, what was read is sent back changed.
		body = fmt.Sprintf(`{"name":"ci2","enabled":true,"event_types":["PUSH_ARTIFACT","PULL_ARTIFACT"],
			"targets":[{"type":"http","address":%q,"auth_header":%q,"payload_format":"Default"}]}`, target.URL, p.Targets[0].Header)
		r.api(user, "PUT", one, body, 200, nil)
		r.work()
		must(r.t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
			return r.hooks.Happened(tx, webhook.Event{Type: webhook.Push, Project: p.Project, Time: time.Now(), Operator: "alice"})
		}))
		if s := <-came; !strings.HasPrefix(s, `Bearer abc {"type":"PUSH_ARTIFACT"`) {
			r.t.Error(s)
		}
		var runs []executionForm
		for len(runs) == 0 || runs[0].Status != "Success" {
			r.api(user, "GET", one+"/executions", "", 200, &runs)
		}
		var tasks []taskForm
		at := fmt.Sprintf("%s/executions/%d/tasks", one, runs[0].ID)
		if header := r.api(user, "GET", at, "", 200, &tasks); len(tasks) != 1 || tasks[0].Status != "Success" || header.Get("X-Total-Count") != "1" {
			r.t.Errorf("%+v", tasks)
		}
		if status, _, text := r.do(user, "GET", fmt.Sprintf("%s%s/%d/log", Prefix, at, tasks[0].ID), "", ""); status != 200 || !strings.Contains(text, "the target answers 200") {
			r.t.Errorf("%d %s", status, text)
		}
		r.api(user, "GET", at+"/999/log", "", 404, nil)
		r.api(user, "GET", one+"/executions/999/tasks", "", 404, nil)
		var last []lastTriggerForm
		if r.api(user, "GET", "/projects/private/webhook/lasttrigger", "", 200, &last); len(last) != 2 || (last[0].Last == "") == (last[1].Last == "") {
			r.t.Errorf("%+v", last)
		}
		var old []webhookJobForm
		if r.api(user, "GET", fmt.Sprintf("/projects/private/webhook/jobs?policy_id=%d", p.ID), "", 200, &old); len(old) != 1 || old[0].Event != "PUSH_ARTIFACT" {
			r.t.Errorf("%+v", old)
		}
		r.api(user, "GET", "/projects/private/webhook/jobs", "", 400, nil)
		var types webhookEventsForm
		if r.api(user, "GET", "/projects/private/webhook/events", "", 200, &types); len(types.Events) != 10 || len(types.Formats) != 1 {
			r.t.Errorf("%+v", types)
		}
		var list []webhookForm
		if r.api(user, "GET", all+"?page_size=1", "", 200, &list); len(list) != 1 || list[0].Name != "ci2" {
			r.t.Errorf("%+v", list)
		}
		r.api(user, "DELETE", one, "", 200, nil)
		r.api(user, "DELETE", one, "", 404, nil)
		r.api(user, "GET", one+"/executions", "", 404, nil)
	})
}
