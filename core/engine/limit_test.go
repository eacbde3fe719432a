package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
)

func TestNoMoreContainersThanTheLimit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.MaxContainers = 2
		w.restart()
		w.create("c1", []string{"true"})
		w.create("c2", []string{"true"})
		req := request("", "true")
		for _, name := range []string{"c3", ""} {
			req.Name = name
			if _, err := w.Create(ctx(t), req); !errors.Is(err, errdef.ErrExhausted) || !strings.Contains(err.Error(), "may hold 2 containers") {
				t.Errorf("%q: %v", name, err)
			}
		}
		w.must(w.Engine.Remove(ctx(t), "c1", engine.RemoveOptions{}))
		w.create("c3", []string{"true"})
	})
}
