package access

import (
	"net/http"
	"time"
)

// BodyPatience is how long a client may take to send a small body: a form, or the JSON of an API.
const BodyPatience = 30 * time.Second

// Within runs f, which reads a request's body, and has the client send it within d: who sends a byte now and then would
// hold a connection and a goroutine for ever, also before they have shown who they are. It returns f's error.
func Within(w http.ResponseWriter, d time.Duration, f func() error) error {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(d)) // a writer that cannot has no client to wait for
	if err := f(); err != nil {
		return err // the deadline stays: net/http reads on to the end of the body
	}
	_ = c.SetReadDeadline(time.Time{}) // else it would end a long request
	return nil
}

// Hurry gives a client d to send the rest of a body that nobody wants any more, since the answer is there: net/http reads
// on to use the connection again, without a limit of its own. It belongs on the root of a listener's handler.
func Hurry(next http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d)) }()
		next.ServeHTTP(w, r)
	})
}
