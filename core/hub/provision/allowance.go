package provision

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Unlimited is a limit that is none.
const Unlimited = -1

// Allowance is what a project may use of its VCHs, and what it does.
type Allowance struct {
	Most Size // Unlimited: no limit
	Used Size
}

// Allowance is a project's.
func (p *Provisions) Allowance(ctx context.Context, project int64) (Allowance, error) {
	a := Allowance{Most: Size{Unlimited, Unlimited, Unlimited}}
	err := p.o.DB.QueryRow(ctx, `SELECT most_containers, most_cpus, most_memory, containers, cpus, memory FROM allowance WHERE project = $1`, project).Scan(
		&a.Most.Containers, &a.Most.CPUs, &a.Most.Memory, &a.Used.Containers, &a.Used.CPUs, &a.Used.Memory)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return a, err
}

// SetAllowance sets what a project may use; what it uses already stays. errdef.ErrInvalid.
func (p *Provisions) SetAllowance(ctx context.Context, project int64, most Size) error {
	for _, n := range []int64{most.Containers, most.CPUs, most.Memory} {
		if n < Unlimited {
			return fmt.Errorf("%d is no limit: want a number, or -1 for none: %w", n, errdef.ErrInvalid)
		}
	}
	return p.o.DB.Tx(ctx, func(tx *store.Tx) error {
		if err := ensure(tx, project); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE allowance SET most_containers = $1, most_cpus = $2, most_memory = $3 WHERE project = $4`, most.Containers, most.CPUs,
			most.Memory, project)
		return err
	})
}

func ensure(tx *store.Tx, project int64) error {
	_, err := tx.Exec(`INSERT INTO allowance (project, most_containers, most_cpus, most_memory, containers, cpus, memory) VALUES ($1, -1, -1, -1, 0, 0, 0)
		ON CONFLICT (project) DO NOTHING`, project)
	return err
}

// lacks says what of an allowance is lacking for a size; empty: nothing.
func (a Allowance) lacks(s Size) string {
	var out []string
	for _, x := range []struct {
		what             string
		most, used, more int64
		text             func(int64) string
	}{
		{"containers", a.Most.Containers, a.Used.Containers, s.Containers, func(n int64) string { return fmt.Sprint(n) }},
		{"CPUs", a.Most.CPUs, a.Used.CPUs, s.CPUs, func(n int64) string { return fmt.Sprintf("%.4g", float64(n)/1e9) }},
		{"memory", a.Most.Memory, a.Used.Memory, s.Memory, func(n int64) string { return fmt.Sprintf("%d MB", n>>20) }},
	} {
		if x.most >= 0 && x.used+x.more > x.most {
			out = append(out, fmt.Sprintf("%s: it needs %s, and %s of %s are used", x.what, x.text(x.more), x.text(x.used), x.text(x.most)))
		}
	}
	return strings.Join(out, "; ")
}

// hold takes a size from a project's allowance, within a transaction. One statement decides, so that two at once cannot both
// take the last. errdef.ErrExhausted.
func hold(tx *store.Tx, project int64, s Size, beyond bool) error {
	if err := ensure(tx, project); err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE allowance SET containers = containers + $1, cpus = cpus + $2, memory = memory + $3 WHERE project = $4 AND ($5 OR
		(most_containers < 0 OR containers + $1 <= most_containers) AND (most_cpus < 0 OR cpus + $2 <= most_cpus) AND
		(most_memory < 0 OR memory + $3 <= most_memory))`, s.Containers, s.CPUs, s.Memory, project, beyond)
	if err != nil || n > 0 {
		return err
	}
	var a Allowance
	err = tx.Row(`SELECT most_containers, most_cpus, most_memory, containers, cpus, memory FROM allowance WHERE project = $1`, project).Scan(
		&a.Most.Containers, &a.Most.CPUs, &a.Most.Memory, &a.Used.Containers, &a.Used.CPUs, &a.Used.Memory)
	if err != nil {
		return err
	}
	return fmt.Errorf("the project's allowance is used: %s; remove containers, or ask a cloud administrator for more: %w", a.lacks(s), errdef.ErrExhausted)
}

// release gives back what a provision held, within a transaction.
func release(tx *store.Tx, project int64, s Size) error {
	_, err := tx.Exec(`UPDATE allowance SET containers = containers - $1, cpus = cpus - $2, memory = memory - $3 WHERE project = $4`, s.Containers, s.CPUs,
		s.Memory, project)
	return err
}
