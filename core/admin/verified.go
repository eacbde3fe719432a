package admin

import (
	"net"
	"net/http"
)

// Verified returns the name in the caller's certificate, which the TLS server has verified. Over a
// unix socket, which is for root alone, that is root. Others are nobody.
func Verified(r *http.Request) (string, bool) {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return "root", true
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", false
	}
	return r.TLS.PeerCertificates[0].Subject.CommonName, true
}

// verified lets only those in whom Verified knows.
func verified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := Verified(r); !ok {
			writeError(w, http.StatusUnauthorized, "show a certificate of the administrators' authority")
			return
		}
		next.ServeHTTP(w, r)
	})
}
