package replication

import (
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/store"
)

// Bounds of what webhooks are told of one run.
const (
	maxTold     = 100 // artifacts of a project
	maxProjects = 100
)

// told is Harbor's form of a run, for webhooks.
type told struct {
	Host       string        `json:"harbor_hostname"`
	Status     string        `json:"job_status"`
	Text       string        `json:"description"`
	Kind       string        `json:"artifact_type"`
	Auth       string        `json:"authentication_type"`
	Override   bool          `json:"override_mode"`
	Trigger    string        `json:"trigger_type"`
	Creator    string        `json:"policy_creator"`
	At         int64         `json:"execution_timestamp"` // seconds since 1970
	From       *toldRegistry `json:"src_resource"`
	To         *toldRegistry `json:"dest_resource"`
	Successful []toldOne     `json:"successful_artifact"`
	Failed     []toldOne     `json:"failed_artifact"`
}

type toldRegistry struct {
	Name      string `json:"registry_name"`
	Type      string `json:"registry_type"`
	Endpoint  string `json:"endpoint"`
	Namespace string `json:"namespace"`
}

type toldOne struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Name   string `json:"name_tag"`
}

// summary is what each project is told of a run, by its name.
type summary map[string]*told

func (s summary) add(rep Report) {
	t := s[rep.Project]
	if rep.Project == "" || t == nil && len(s) == maxProjects {
		return
	}
	if t == nil {
		t = &told{Successful: []toldOne{}, Failed: []toldOne{}}
		s[rep.Project] = t
	}
	one := toldOne{rep.Kind, "Success", rep.Artifact}
	to := &t.Successful
	if rep.Outcome == "" {
		one.Status, to = string(jobs.Error), &t.Failed
	}
	if len(*to) < maxTold {
		*to = append(*to, one)
	}
}

// text is the message of a run for one of its projects. It is of the first task that failed, which may be another project's, and
// names that one's repository.
func (s summary) text(project, message string) string {
	if len(s) == 1 || message == "" {
		return message
	}
	if len(s[project].Failed) == 0 {
		return "artifacts of other projects were not replicated"
	}
	return "not all artifacts of the project were replicated"
}

// ended tells the webhooks of the projects that a run was about, in the transaction that ends it.
func (r *Replication) ended(tx *store.Tx, e jobs.Execution) error {
	p, err := scan(tx.Row(`SELECT `+columns+` FROM replication_policy WHERE id = $1`, e.Subject).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	all := summary{}
	err = r.o.Queue().Reports(tx, e.ID, func(b json.RawMessage) error {
		var rep Report
		err := json.Unmarshal(b, &rep)
		if err == nil {
			all.add(rep)
		}
		return err
	})
	if err != nil {
		return err
	}
	for name, t := range all {
		t.Text = all.text(name, e.Message)
		if err := r.tell(tx, p, e, name, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *Replication) tell(tx *store.Tx, p Policy, e jobs.Execution, name string, t *told) error {
	found, err := r.o.Registry().FindProject(tx.Context(), tx, name)
	if err != nil {
		return nil // it is gone meanwhile, and its webhooks too
	}
	wanted, err := r.o.Hooks.Wants(tx, found.ID, webhook.Replication)
	if err != nil || !wanted {
		return err
	}
	t.Host, t.Status, t.Kind, t.Auth = r.o.Host, string(e.Status), Image, "basic"
	t.Override, t.Trigger, t.Creator, t.At = p.Override, string(e.Cause), p.Creator, e.Created.Unix()
	var other toldRegistry
	err = tx.Row(`SELECT name, kind, url FROM endpoint WHERE id = $1`, p.Endpoint).Scan(&other.Name, &other.Type, &other.Endpoint)
	if err != nil {
		return err
	}
	other.Namespace = p.Namespace
	here := &toldRegistry{Name: "Local", Type: "harbor", Endpoint: r.o.Host, Namespace: name}
	if t.From, t.To = here, &other; p.Pull {
		t.From, t.To = &other, here
	}
	return r.o.Hooks.Happened(tx, webhook.Event{Type: webhook.Replication, Project: found.ID, Time: r.o.Now(), Operator: Caller,
		Data: webhook.Data{Replication: t}})
}
