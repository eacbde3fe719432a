package vicd

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/openvic/vic/core/event"
)

func TestLivesOfContainersAreLogged(t *testing.T) {
	var out strings.Builder
	var hub event.Hub
	logLives(&hub, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	about := map[string]string{"name": "web", "image": "nginx", "secret": "label"}
	for _, action := range []string{"create", "attach", "exec_start: sh", "start"} {
		hub.Publish(event.Event{Type: event.Container, Action: action, ID: "c1", Attributes: about})
	}
	hub.Publish(event.Event{Type: event.Volume, Action: "create", ID: "v1"})
	hub.Publish(event.Event{Type: event.Container, Action: "die", ID: "c1",
		Attributes: map[string]string{"name": "web", "image": "nginx", "exitCode": "3", "execDuration": "7"}})
	want := `level=INFO msg="container created" container=c1 name=web image=nginx
level=INFO msg="container started" container=c1 name=web image=nginx
level=INFO msg="container ended" container=c1 name=web image=nginx exit=3 seconds=7
`
	if out.String() != want {
		t.Errorf("logged\n%swant\n%s", out.String(), want)
	}
}
