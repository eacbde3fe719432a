package platform

import (
	"time"

	platformv1 "github.com/openvic/vic/sdk/proto/platform/v1"
)

// reportToWire makes the message of a report.
func reportToWire(r Report) *platformv1.ReportResponse {
	m := &platformv1.ReportResponse{About: r.About}
	for _, s := range r.Stores[:min(len(r.Stores), MaxStores)] {
		m.Stores = append(m.Stores, &platformv1.Store{Name: s.Name, Uses: s.Uses, Capacity: s.Capacity, Free: s.Free, Problem: s.Problem})
	}
	for _, e := range r.Events[:min(len(r.Events), MaxEvents)] {
		m.Events = append(m.Events, &platformv1.Event{Time: e.Time.UTC().Format(time.RFC3339Nano), Severity: e.Severity, User: e.User,
			Subject: e.Subject, Text: e.Text})
	}
	return m
}

// reportFromWire is the reverse. A time that is none becomes zero.
func reportFromWire(m *platformv1.ReportResponse) Report {
	r := Report{About: m.GetAbout()}
	stores, events := m.GetStores(), m.GetEvents()
	for _, s := range stores[:min(len(stores), MaxStores)] {
		r.Stores = append(r.Stores, Store{Name: s.GetName(), Uses: s.GetUses(), Capacity: s.GetCapacity(), Free: s.GetFree(), Problem: s.GetProblem()})
	}
	for _, e := range events[:min(len(events), MaxEvents)] {
		at, err := time.Parse(time.RFC3339Nano, e.GetTime())
		if err != nil {
			at = time.Time{}
		}
		r.Events = append(r.Events, Event{Time: at, Severity: e.GetSeverity(), User: e.GetUser(), Subject: e.GetSubject(), Text: e.GetText()})
	}
	return r
}
