package access

import (
	"io"
	"net/http"
	"time"
)

// StallPatience is how long a client may take to go on with a body, in either direction.
const StallPatience = time.Minute

// maxPiece is how much of an answer a client must take within the time that it has to go on.
const maxPiece = 64 << 10

// Steady ends an exchange whose client stops reading the answer: it must take a piece of 64 KiB, or less at the end, within d. Who
// reads a byte now and then would hold a connection, a goroutine and an open file for ever. It works for each stream of
// HTTP/2 alone.
func Steady(next http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Time{})                          // the one of the answer before, on the same connection
		defer func() { _ = c.SetWriteDeadline(time.Now().Add(d)) }() // for what net/http still has in its buffer
		next.ServeHTTP(&steadyWriter{ResponseWriter: w, c: c, d: d}, r)
	})
}

type steadyWriter struct {
	http.ResponseWriter
	c *http.ResponseController
	d time.Duration
}

// Write implements http.ResponseWriter.
func (w *steadyWriter) Write(p []byte) (total int, err error) {
	for first := true; first || len(p) > 0; first = false {
		piece := p[:min(len(p), maxPiece)]
		_ = w.c.SetWriteDeadline(time.Now().Add(w.d)) // a writer that cannot has no client to wait for
		n, err := w.ResponseWriter.Write(piece)
		total += n
		if err != nil {
			return total, err
		}
		p = p[len(piece):]
	}
	return total, nil
}

// Unwrap is for http.ResponseController.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SteadyBody ends a request whose client stops sending its body for d, as uploads do that have no end of their own.
func SteadyBody(next http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &steadyBody{ReadCloser: r.Body, c: http.NewResponseController(w), d: d}
		}
		next.ServeHTTP(w, r)
	})
}

type steadyBody struct {
	io.ReadCloser
	c *http.ResponseController
	d time.Duration
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	_ = b.c.SetReadDeadline(time.Now().Add(b.d))
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { //nolint:errorlint // a body's end is never wrapped
		_ = b.c.SetReadDeadline(time.Time{}) // net/http watches the connection from here on, and the handler may take long
	}
	return n, err
}
