package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
)

func (a *app) webhookCommand() *cli.Command {
	able := func(name, usage string, enabled bool) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "PROJECT NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, w, err := oneWebhook(c, h, "PROJECT", "NAME")
			if err != nil {
				return err
			}
			q := client.NewWebhook{Name: w.Name, Description: w.Description, Enabled: enabled, Events: w.Events}
			for _, t := range w.Targets { // what is left out stays
				q.Targets = append(q.Targets, client.NewWebhookTarget{Type: t.Type, Address: t.Address, Insecure: t.Insecure, Format: t.Format})
			}
			return a.did(h.UpdateWebhook(c.Context, v[0], w.ID, q), "webhook %s is %sd", w.Name, name)
		})}
	}
	return &cli.Command{Name: "webhook", Usage: "programs that are told of what happens in a project", Subcommands: []*cli.Command{
		{Name: "ls", Usage: "list those of a project", ArgsUsage: "PROJECT", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, err := args(c, "PROJECT")
			if err != nil {
				return err
			}
			return show(a, c, h.Webhooks(c.Context, v[0]), "NAME ENABLED EVENTS TARGETS", func(w client.Webhook) []any {
				return []any{w.Name, w.Enabled, strings.Join(w.Events, ","), targets(w)}
			})
		})},
		{Name: "events", Usage: "list what there is to be told of", ArgsUsage: "PROJECT", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				all, err := h.WebhookEvents(c.Context, v[0])
				if err != nil {
					return err
				}
				return show(a, c, each(all), "EVENT", func(s string) []any { return []any{s} })
			})},
		{Name: "create", Usage: "make one", ArgsUsage: "PROJECT NAME ADDRESS", Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "event", Usage: "what to tell of (vic hub webhook events); several times", Required: true},
			&cli.StringFlag{Name: "format", Usage: "Default (Harbor's) or CloudEvents", Value: "Default"},
			&cli.StringFlag{Name: "description", Usage: "what it is for"},
			&cli.BoolFlag{Name: "secret-stdin", Usage: "read what deliveries are signed with from the standard input, one line"},
			&cli.BoolFlag{Name: "auth-header-stdin", Usage: "read the header Authorization from the standard input, one line, behind the secret"},
			&cli.BoolFlag{Name: "insecure", Usage: "take any certificate of the target"}}, Action: a.with(a.createWebhook)},
		{Name: "inspect", Usage: "show one", ArgsUsage: "PROJECT NAME", Flags: output(), Action: a.with(func(c *cli.Context, h *client.Client) error {
			_, w, err := oneWebhook(c, h, "PROJECT", "NAME")
			if err != nil {
				return err
			}
			signed := false
			for _, t := range w.Targets {
				signed = signed || t.Signed
			}
			return a.one(c, w, "Name", w.Name, "Enabled", w.Enabled, "Events", strings.Join(w.Events, ","), "Targets", targets(w), "Signed", signed,
				"Description", w.Description, "By", w.Creator, "Created", w.Created)
		})},
		able("disable", "send nothing any more", false), able("enable", "send again", true),
		{Name: "rm", Usage: "remove one with its history", ArgsUsage: "PROJECT NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, w, err := oneWebhook(c, h, "PROJECT", "NAME")
			if err != nil {
				return err
			}
			return a.did(h.DeleteWebhook(c.Context, v[0], w.ID), "webhook %s is removed", w.Name)
		})},
		{Name: "deliveries", Usage: "list what one has sent, the latest first", ArgsUsage: "PROJECT NAME",
			Flags: output(&cli.StringFlag{Name: "status", Usage: "Pending, Running, Success, Error or Stopped"},
				&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "how many"}),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, w, err := oneWebhook(c, h, "PROJECT", "NAME")
				if err != nil {
					return err
				}
				list := first(c.Int("limit"), h.Deliveries(c.Context, v[0], w.ID, c.String("status")))
				return show(a, c, list, "DELIVERY EVENT STATUS CREATED UPDATED", func(d client.Delivery) []any {
					return []any{d.ID, d.Event, d.Status, d.Created, d.Updated}
				})
			})},
		{Name: "log", Usage: "show the log of a delivery", ArgsUsage: "PROJECT NAME DELIVERY", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, w, id, err := oneDelivery(c, h)
			if err != nil {
				return err
			}
			text, err := h.DeliveryLog(c.Context, v[0], w.ID, id)
			return a.text(text, err)
		})},
		{Name: "retry", Usage: "send a delivery that has ended once more", ArgsUsage: "PROJECT NAME DELIVERY",
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, w, id, err := oneDelivery(c, h)
				if err != nil {
					return err
				}
				again, err := h.RetryDelivery(c.Context, v[0], w.ID, id)
				return a.did(err, "delivery %d is sent again as %d", id, again)
			})},
	}}
}

func targets(w client.Webhook) string {
	var all []string
	for _, t := range w.Targets {
		all = append(all, t.Address)
	}
	return strings.Join(all, ",")
}

func (a *app) createWebhook(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT", "NAME", "ADDRESS")
	if err != nil {
		return err
	}
	t := client.NewWebhookTarget{Type: "http", Address: v[2], Insecure: c.Bool("insecure"), Format: c.String("format")}
	for _, x := range []struct {
		flag string
		to   **string
	}{{"secret-stdin", &t.Secret}, {"auth-header-stdin", &t.Header}} {
		if c.Bool(x.flag) {
			s, err := a.secret("--" + x.flag)
			if err != nil {
				return err
			}
			*x.to = &s
		}
	}
	_, err = h.CreateWebhook(c.Context, v[0], client.NewWebhook{Name: v[1], Description: c.String("description"), Enabled: true, Events: c.StringSlice("event"),
		Targets: []client.NewWebhookTarget{t}})
	return a.did(err, "webhook %s is made", v[1])
}

// oneWebhook finds the policy that a command names by its project and its name.
func oneWebhook(c *cli.Context, h *client.Client, names ...string) ([]string, client.Webhook, error) {
	v, err := args(c, names...)
	if err != nil {
		return nil, client.Webhook{}, err
	}
	w, err := find(h.Webhooks(c.Context, v[0]), "webhook", v[1], func(w client.Webhook) bool { return w.Name == v[1] })
	return v, w, err
}

func oneDelivery(c *cli.Context, h *client.Client) ([]string, client.Webhook, int64, error) {
	v, w, err := oneWebhook(c, h, "PROJECT", "NAME", "DELIVERY")
	if err != nil {
		return nil, w, 0, err
	}
	id, err := numbered(v[2], "delivery", fmt.Sprintf("vic hub webhook deliveries %s %s", v[0], v[1]))
	return v, w, id, err
}
