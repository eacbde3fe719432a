package platform

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wiretest"
	platformv1 "github.com/openvic/vic/sdk/proto/platform/v1"
)

// fixed answers with a report of as many events as were asked for, or with an error.
type fixed struct {
	report Report
	err    error
}

func (f *fixed) Report(_ context.Context, events int) (Report, error) {
	r := f.report
	for range events {
		r.Events = append(r.Events, Event{Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Severity: Warning, User: "u", Subject: "vm", Text: "t"})
	}
	return r, f.err
}

func TestAReportCrossesTheWire(t *testing.T) {
	f := &fixed{report: Report{About: "vCenter 8", Stores: []Store{{Name: "ds", Uses: []string{"images"}, Capacity: 10, Free: 3, Problem: "away"}}}}
	ready := errdef.ErrUnavailable
	d := NewClient(wiretest.TLS(t, func(r grpc.ServiceRegistrar) { Register(r, func() (Driver, error) { return f, ready }) }))
	if _, err := d.Report(t.Context(), 1); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("before there is a driver: %v", err)
	}
	ready = nil
	want, _ := f.Report(t.Context(), 1)
	if got, err := d.Report(t.Context(), 1); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for asked, want := range map[int]int{-1: 0, 0: 0, MaxEvents + 5: MaxEvents} {
		if got, err := d.Report(t.Context(), asked); err != nil || len(got.Events) != want {
			t.Errorf("%d events asked for: %d, %v", asked, len(got.Events), err)
		}
	}
	f.err = errdef.ErrDenied
	if _, err := d.Report(t.Context(), 1); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("an error: %v", err)
	}
}

func TestAHostKeepsToItsBounds(t *testing.T) {
	m := &platformv1.ReportResponse{Events: []*platformv1.Event{{Time: "yesterday"}}}
	for range MaxEvents + MaxStores {
		m.Events, m.Stores = append(m.Events, &platformv1.Event{}), append(m.Stores, &platformv1.Store{})
	}
	got := reportFromWire(m)
	if !got.Events[0].Time.IsZero() {
		t.Errorf("a time that is none: %v", got.Events[0].Time)
	}
	if len(got.Events) != MaxEvents || len(got.Stores) != MaxStores {
		t.Errorf("%d events, %d stores", len(got.Events), len(got.Stores))
	}
}
