package admin

import (
	"net/http"

	"github.com/openvic/vic/core/access"
)

// verified lets in only those who show a certificate of the administrators' authority, or come by the unix socket.
func verified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !access.Certified(r).Known() {
			writeError(w, http.StatusUnauthorized, "show a certificate of the administrators' authority")
			return
		}
		next.ServeHTTP(w, r)
	})
}
