// Package platform is what administrators may ask a plugin about the platform below it: how it is,
// what happened there, and whether a user of the platform may administer. A plugin offers it through
// serve.Instance (Platform, Authenticate); all of it is optional.
package platform

import (
	"time"

	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
)

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

// ToProto makes the message of a report.
func ToProto(r Report) *pluginv1.PlatformResponse {
	m := &pluginv1.PlatformResponse{About: r.About}
	for _, s := range r.Stores {
		m.Stores = append(m.Stores, &pluginv1.Store{Name: s.Name, Uses: s.Uses, Capacity: s.Capacity, Free: s.Free, Problem: s.Problem})
	}
	for _, e := range r.Events {
		m.Events = append(m.Events, &pluginv1.Event{Time: e.Time.UTC().Format(time.RFC3339Nano), Severity: e.Severity, User: e.User,
			Subject: e.Subject, Text: e.Text})
	}
	return m
}

// FromProto is the reverse. A time that is none becomes zero.
func FromProto(m *pluginv1.PlatformResponse) Report {
	r := Report{About: m.GetAbout()}
	for _, s := range m.GetStores() {
		r.Stores = append(r.Stores, Store{Name: s.GetName(), Uses: s.GetUses(), Capacity: s.GetCapacity(), Free: s.GetFree(), Problem: s.GetProblem()})
	}
	for _, e := range m.GetEvents() {
		at, err := time.Parse(time.RFC3339Nano, e.GetTime())
		if err != nil {
			at = time.Time{}
		}
		r.Events = append(r.Events, Event{Time: at, Severity: e.GetSeverity(), User: e.GetUser(), Subject: e.GetSubject(), Text: e.GetText()})
	}
	return r
}
