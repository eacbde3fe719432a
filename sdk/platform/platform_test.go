package platform

import (
	"reflect"
	"testing"
	"time"

	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
)

func TestAReportCrossesTheWire(t *testing.T) {
	want := Report{About: "vCenter 8", Stores: []Store{{Name: "ds", Uses: []string{"images"}, Capacity: 10, Free: 3, Problem: "away"}},
		Events: []Event{{Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Severity: Warning, User: "u", Subject: "vm", Text: "t"}}}
	if got := FromProto(ToProto(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	got := FromProto(&pluginv1.PlatformResponse{Events: []*pluginv1.Event{{Time: "yesterday"}}})
	if !got.Events[0].Time.IsZero() {
		t.Errorf("a time that is none: %v", got.Events[0].Time)
	}
}
