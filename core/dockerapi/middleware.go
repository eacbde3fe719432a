package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/docker/docker/api/server/httpstatus"
	"github.com/docker/docker/errdefs"
	"github.com/docker/docker/pkg/streamformatter"
)

// handler is a handler of Docker's router, as middleware.Middleware has it.
type handler = func(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error

// guard refuses what Docker's own handlers do not stand, and does for them what they would do with no regard to where
// the endpoint stands.
type guard struct {
	images interface {
		Fetch(ctx context.Context, url string) (io.ReadCloser, error)
	}
}

// WrapHandler implements middleware.Middleware.
func (g guard) WrapHandler(next handler) handler {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
		// The handler would wait for ever for a connection that is no WebSocket.
		if strings.HasSuffix(r.URL.Path, "/attach/ws") && !webSocket(r) {
			return invalid("the request is not the handshake of a WebSocket")
		}
		if vars["id"] != "" && strings.HasSuffix(r.URL.Path, "/logs") { // of a service or task
			return errNoSwarm()
		}
		if ref := vars["name"]; strings.Contains(r.URL.Path, "/distribution/") && len(ref) == 64 && strings.Trim(ref, "0123456789abcdef") == "" {
			return invalid("no manifest found for full image ID")
		}
		if err := g.fetch(ctx, w, r); err != nil {
			return inputError(err)
		}
		return inputError(next(ctx, w, r, vars))
	}
}

// fetch gives an import of a URL its file as the body, as if the client had sent it: Docker's handler would get whatever
// the endpoint reaches.
func (g guard) fetch(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/images/create") {
		return nil
	}
	if err := r.ParseForm(); err != nil {
		return errdefs.InvalidParameter(err)
	}
	src := r.Form.Get("fromSrc")
	if src == "" || src == "-" || r.Form.Get("fromImage") != "" {
		return nil
	}
	body, err := g.images.Fetch(ctx, src)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	r.Body = body // the handler closes it
	r.Form.Set("fromSrc", "-")
	if r.Form.Get("message") == "" {
		r.Form.Set("message", "Imported from "+src)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(streamformatter.FormatStatus("", "Downloading from %s", src))
	return nil
}

// inputError gives the errors of decoders their class, which Docker's handlers sometimes return as
// they are: what a client sent and nobody can read is no failure of the server.
func inputError(err error) error {
	if err == nil || httpstatus.FromError(err) != http.StatusInternalServerError {
		return err
	}
	var (
		number *strconv.NumError
		syntax *json.SyntaxError
		typ    *json.UnmarshalTypeError
		remote *url.Error
	)
	switch {
	case errors.As(err, &number), errors.As(err, &syntax), errors.As(err, &typ):
		return errdefs.InvalidParameter(err)
	case err == io.EOF, err == io.ErrUnexpectedEOF: //nolint:errorlint // as they are, not inside another
		return errdefs.InvalidParameter(err)
	case errors.As(err, &remote):
		return errdefs.InvalidParameter(err) // of an image to import
	}
	return err
}

// webSocket says that a request is a handshake as RFC 6455, section 4.2.1, has it.
func webSocket(r *http.Request) bool {
	h := r.Header
	return strings.EqualFold(h.Get("Upgrade"), "websocket") && strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade") &&
		h.Get("Sec-WebSocket-Key") != "" && h.Get("Sec-WebSocket-Version") == "13"
}

// statusMiddleware gives our errors their classes where a handler returned them bare, and tells
// what Docker's decoder would silently drop.
type statusMiddleware struct{}

func (statusMiddleware) WrapHandler(next handler) handler {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
		return wrap(next(ctx, w, r, vars))
	}
}
