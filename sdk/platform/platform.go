// Package platform is what a plugin tells administrators of the platform below it: how it is and what
// happened there. Any plugin may offer it, beside what it is for.
package platform

import (
	"context"
	"time"

	"github.com/openvic/vic/sdk/kind"
)

// The most that a report holds; what is beyond them is cut off at both ends of the wire.
const (
	MaxEvents = 1000
	MaxStores = 1000
)

// Driver tells how a platform is.
type Driver interface {
	// Report tells how the platform is now, with at most so many events, the latest ones: 0 to MaxEvents.
	// errdef.ErrUnavailable if it does not answer.
	Report(ctx context.Context, events int) (Report, error)
}

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info:     kind.Info{Name: "platform", Doc: "tells administrators of the platform below", Takes: kind.Beside},
		Register: Register, Client: NewClient,
	}
}

// Report is how the platform is.
type Report struct {
	About  string  `json:"about"` // what it is, for people
	Stores []Store `json:"stores"`
	Events []Event `json:"events"` // newest first
}

// Store is a place of data that the plugin uses.
type Store struct {
	Name     string   `json:"name"`
	Uses     []string `json:"uses"`               // what for: "images", "containers", "volumes default"
	Capacity int64    `json:"capacity,omitempty"` // bytes; 0 if not known
	Free     int64    `json:"free,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}

// The severities of an Event.
const (
	Info    = "info"
	Warning = "warning"
	Error   = "error"
)

// Event is something that happened on the platform.
type Event struct {
	Time     time.Time `json:"time"`
	Severity string    `json:"severity"`
	User     string    `json:"user,omitempty"`
	Subject  string    `json:"subject,omitempty"` // what it happened to, by the platform's name
	Text     string    `json:"text"`
}
