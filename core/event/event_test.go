package event

import (
	"slices"
	"testing"
)

func TestSubscribersGetEventsInOrderUntilTheyCancel(t *testing.T) {
	var h Hub
	var a, b []string
	h.Subscribe(func(e Event) { a = append(a, e.Action) })
	cancel := h.Subscribe(func(e Event) { b = append(b, e.Action) })
	h.Publish(Event{Action: "create"})
	cancel()
	h.Publish(Event{Action: "start"})
	if !slices.Equal(a, []string{"create", "start"}) || !slices.Equal(b, []string{"create"}) {
		t.Errorf("%v %v", a, b)
	}
}

func TestEventsHaveATime(t *testing.T) {
	var h Hub
	var got Event
	h.Subscribe(func(e Event) { got = e })
	h.Publish(Event{Action: "create"})
	if got.Time.IsZero() {
		t.Error("no time")
	}
}
