package vicd

import (
	"log/slog"

	"github.com/openvic/vic/core/event"
)

// lives are the events of a container's life that an administrator finds in the log. The rest (execs,
// attaching, health) is many, and in docker events.
var lives = map[string]string{
	"create": "container created", "start": "container started", "die": "container ended", "oom": "container ran out of memory",
	"pause": "container paused", "unpause": "container unpaused", "destroy": "container removed",
}

// logLives writes the lives of containers to the log, as long as the hub lives.
func logLives(hub *event.Hub, log *slog.Logger) {
	hub.Subscribe(func(e event.Event) {
		message, ok := lives[e.Action]
		if !ok || e.Type != event.Container {
			return
		}
		keys := []any{"container", e.ID, "name", e.Attributes["name"], "image", e.Attributes["image"]}
		if code, ok := e.Attributes["exitCode"]; ok {
			keys = append(keys, "exit", code, "seconds", e.Attributes["execDuration"])
		}
		log.Info(message, keys...)
	})
}
