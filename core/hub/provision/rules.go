package provision

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Rule says which requests somebody has to approve. It is for a request if all that it names is true of it; a rule that names
// nothing is for all.
type Rule struct {
	ID      int64     `json:"-"`
	Project int64     `json:"-"` // 0: every project
	Name    string    `json:"-"`
	Made    time.Time `json:"-"`

	// MemoryOver (bytes) and CPUsOver (billionths) are for containers that are larger; 0: of any size.
	MemoryOver int64 `json:"memory_over,omitempty"`
	CPUsOver   int64 `json:"cpus_over,omitempty"`
	// Publishes is for containers with a published port, Privileged for privileged ones.
	Publishes  bool `json:"publishes,omitempty"`
	Privileged bool `json:"privileged,omitempty"`
	// Everybody makes it count for those, too, who may approve requests of the project.
	Everybody bool `json:"everybody,omitempty"`
}

// Bounds of rules.
const (
	maxRules    = 100 // of a project, and of all
	maxRuleName = 255
)

// AddRule adds one; errdef.ErrInvalid, errdef.ErrExhausted.
func (p *Provisions) AddRule(ctx context.Context, r Rule) (Rule, error) {
	if r.Name == "" || len(r.Name) > maxRuleName {
		return r, fmt.Errorf("name: give 1 to %d characters: %w", maxRuleName, errdef.ErrInvalid)
	}
	if r.MemoryOver < 0 || r.CPUsOver < 0 {
		return r, fmt.Errorf("memory_over and cpus_over cannot be negative: %w", errdef.ErrInvalid)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	r.Made = p.o.Now()
	err = p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM approval_rule WHERE project = $1`, r.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxRules {
			return fmt.Errorf("there are %d rules, and no more are kept: %w", n, errdef.ErrExhausted)
		}
		return tx.Row(`INSERT INTO approval_rule (project, name, rule, made) VALUES ($1, $2, $3, $4) RETURNING id`, r.Project, r.Name, string(text),
			r.Made.Unix()).Scan(&r.ID)
	})
	return r, err
}

// RemoveRule removes one of a project, or of all projects for 0; errdef.ErrNotFound.
func (p *Provisions) RemoveRule(ctx context.Context, project, id int64) error {
	return p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM approval_rule WHERE id = $1 AND project = $2`, id, project)
		if err == nil && n == 0 {
			err = fmt.Errorf("rule %d not found: %w", id, errdef.ErrNotFound)
		}
		return err
	})
}

// Rules are those of a project, with those of all projects before them if both.
func (p *Provisions) Rules(ctx context.Context, project int64, both bool) ([]Rule, error) {
	list, _, err := store.List(ctx, p.o.DB, 2*maxRules, func(rows *sql.Rows) (r Rule, err error) {
		var text string
		var made int64
		if err := rows.Scan(&r.ID, &r.Project, &r.Name, &text, &made); err != nil {
			return r, err
		}
		r.Made = time.Unix(made, 0)
		return r, json.Unmarshal([]byte(text), &r)
	}, `SELECT id, project, name, rule, made FROM approval_rule WHERE project = $1 OR ($2 AND project = 0) ORDER BY project, id LIMIT $3`, project, both)
	return list, err
}

// reason is why somebody has to approve a request: the first rule that is for it; empty: nobody has.
func (p *Provisions) reason(ctx context.Context, r Request, b Body) (string, error) {
	rules, err := p.Rules(ctx, r.Project, true)
	if err != nil {
		return "", err
	}
	for _, x := range rules {
		if x.is(b) && (x.Everybody || !r.Decides) {
			return "rule " + x.Name, nil
		}
	}
	return "", nil
}

// is says whether the rule is for a container.
func (r Rule) is(b Body) bool {
	size := b.size()
	return size.Memory > r.MemoryOver && size.CPUs > r.CPUsOver && (!r.Publishes || b.publishes()) && (!r.Privileged || b.HostConfig.Privileged)
}
