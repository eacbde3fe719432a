package engine

import (
	"strconv"

	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/sdk/guest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// emit publishes an event of a container.
func (e *Engine) emit(c *container, action string, attributes ...string) {
	d := c.definition()
	a := make(map[string]string, len(d.Labels)+2+len(attributes)/2)
	for k, v := range d.Labels {
		a[k] = v
	}
	a["image"], a["name"] = d.Image.Ref, d.Name
	for i := 0; i+1 < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	e.opts.Events.Publish(event.Event{Type: event.Container, Action: action, ID: c.id, Attributes: a})
}

// emitExit tells of the end of a process.
func (e *Engine) emitExit(c *container, exit guest.Exit) {
	if exit.OOM {
		e.emit(c, "oom")
	}
	if exit.Error == "" {
		ran := max(exit.Finished.Sub(exit.Started), 0)
		if exit.Started.IsZero() {
			ran = 0
		}
		e.emit(c, "die", "exitCode", itoa(int(exit.Code)), "execDuration", itoa(int(ran.Seconds())))
	}
}

// emitMounts tells that a container's volumes are mounted or no longer so.
func (e *Engine) emitMounts(c *container, action string) {
	for _, m := range c.definition().Mounts {
		a := []string{"container", c.id}
		if action == "mount" {
			a = append(a, "destination", m.Target, "read/write", strconv.FormatBool(!m.ReadOnly), "propagation", "")
		}
		e.Volumes.emit(m.Volume, action, a...)
	}
}

// tellConnected publishes what happens to a container's places when it starts and ends, as Docker does;
// networkID empty means all.
func (e *Engine) tellConnected(c *container, networkID, action string) {
	if _, err := c.activeRun(); networkID != "" && err != nil {
		return
	}
	for _, a := range c.definition().Networks {
		if networkID == "" || a.NetworkID == networkID {
			e.Networks.emit(a.NetworkID, a.Name, a.Driver, action, "container", c.id)
		}
	}
}
