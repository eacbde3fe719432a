package engine

import (
	"context"
	"io"
)

// Export writes all of a container's root file system, without volumes, as tar.
func (e *Engine) Export(ctx context.Context, ref string, w io.Writer) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	_, stream, err := e.copyOut(ctx, c, "/", true)
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.Copy(w, stream); err != nil {
		return err
	}
	e.emit(c, "export")
	return nil
}
