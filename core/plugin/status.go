package plugin

import (
	"strconv"
	"time"
)

// State is where a plugin is in its life.
type State string

// The states of a plugin.
const (
	StateStarting State = "starting" // a process is being launched or configured
	StateUp       State = "up"
	StateDown     State = "down"    // the process has ended; another one starts after a pause
	StateRefused  State = "refused" // it cannot work as it is configured; LastError says why
	StateStopped  State = "stopped" // the host has ended
)

// Component is one driver in a plugin.
type Component struct {
	Kind         string   `json:"kind"`
	Name         string   `json:"name"`
	Capabilities []string `json:"capabilities,omitempty"`
}

// Playing is a role that a plugin plays.
type Playing struct {
	Kind string `json:"kind"`
	// Place, from 1, is the plugin's in the list of a role that takes several; else 0.
	Place int `json:"place,omitempty"`
}

// String is the kind, with the place if there are several: "compute", "scan:2".
func (p Playing) String() string {
	if p.Place == 0 {
		return p.Kind
	}
	return p.Kind + ":" + strconv.Itoa(p.Place)
}

// Status is what an administrator may know of a plugin.
type Status struct {
	Name       string      `json:"name"` // in the plugin file
	State      State       `json:"state"`
	Program    string      `json:"program,omitempty"` // what the plugin calls itself
	Version    string      `json:"version,omitempty"`
	Components []Component `json:"components,omitempty"`
	Roles      []Playing   `json:"roles,omitempty"` // what the configuration has it do
	File       string      `json:"file"`
	Path       string      `json:"path"`
	SHA256     string      `json:"sha256"`
	Config     string      `json:"config,omitempty"`
	PID        int         `json:"pid,omitempty"`
	Healthy    bool        `json:"healthy"`
	Health     string      `json:"health,omitempty"` // what is wrong, if it is not healthy
	Restarts   int         `json:"restarts"`
	LastError  string      `json:"lastError,omitempty"`
	Since      time.Time   `json:"since"` // of State
	// Example is the plugin's commented example configuration; in Get alone.
	Example string `json:"example,omitempty"`
}

// Kinds are the kinds of the components, each once, in their order.
func (s Status) Kinds() []string {
	var kinds []string
	seen := map[string]bool{}
	for _, c := range s.Components {
		if !seen[c.Kind] {
			seen[c.Kind] = true
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}
