package dockerapi

import (
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/guest"
)

// healthCheck reads the health check, the user's or the image's; nil for none.
func healthCheck(cfg *container.Config) (*guest.Health, error) {
	h := cfg.Healthcheck
	if h == nil {
		return nil, nil
	}
	for name, d := range map[string]time.Duration{"Interval": h.Interval, "Timeout": h.Timeout, "StartPeriod": h.StartPeriod, "StartInterval": h.StartInterval} {
		if d != 0 && d < container.MinimumDuration {
			return nil, invalid("%s in Healthcheck cannot be less than %s", name, container.MinimumDuration)
		}
	}
	if h.Retries < 0 {
		return nil, invalid("Retries in Healthcheck cannot be negative")
	}
	g := &guest.Health{Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	switch {
	case len(h.Test) < 2: // NONE, or nothing
		return nil, nil
	case h.Test[0] == "CMD":
		g.Args = h.Test[1:]
	case h.Test[0] == "CMD-SHELL":
		shell := []string(cfg.Shell)
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		g.Args = slices.Concat(shell, h.Test[1:])
	default:
		return nil, nil // dockerd does not know it either, and runs none
	}
	return g, nil
}

// mergeHealth fills what the user left open of a health check from the image's.
func mergeHealth(user, image *container.HealthConfig) *container.HealthConfig {
	if user == nil || image == nil {
		if user == nil {
			return image
		}
		return user
	}
	m := *user
	if len(m.Test) == 0 {
		m.Test = image.Test
	}
	for _, d := range []struct {
		to   *time.Duration
		from time.Duration
	}{{&m.Interval, image.Interval}, {&m.Timeout, image.Timeout}, {&m.StartPeriod, image.StartPeriod}, {&m.StartInterval, image.StartInterval}} {
		if *d.to == 0 {
			*d.to = d.from
		}
	}
	if m.Retries == 0 {
		m.Retries = image.Retries
	}
	return &m
}

// inspectHealth is State.Health.
func inspectHealth(h *link.Health) *container.Health {
	if h == nil {
		return nil
	}
	out := &container.Health{Status: h.Status, FailingStreak: h.FailingStreak, Log: []*container.HealthcheckResult{}}
	for _, p := range h.Log {
		out.Log = append(out.Log, &container.HealthcheckResult{Start: p.Start, End: p.End, ExitCode: p.ExitCode, Output: p.Output})
	}
	return out
}

// healthWord is the status for filters and lists.
func healthWord(s engine.State) string {
	if s.Health == nil {
		return container.NoHealthcheck
	}
	return s.Health.Status
}

// healthText is what stands in the STATUS column.
func healthText(h *link.Health) string {
	switch {
	case h == nil:
		return ""
	case h.Status == guest.HealthStarting:
		return " (health: starting)"
	}
	return " (" + h.Status + ")"
}
