package site

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	cookieName   = "__Host-vicadmin" // the prefix makes browsers insist on Secure and Path=/
	maxLoginForm = 4 << 10
	loginTimeout = 30 * time.Second
)

// The results of logins, for the metric.
const (
	accepted = "accepted"
	refused  = "refused"
	limited  = "limited"
	failed   = "error"
)

// identity says who calls: by certificate, or by a session.
func (s *site) identity(r *http.Request) access.Caller {
	c := access.Certified(r)
	if c.Known() {
		return c
	}
	if k, err := r.Cookie(cookieName); err == nil {
		if x, ok := s.sessions.Find(k.Value); ok {
			return access.Caller{Name: x.User, Method: access.BySession, Address: c.Address, Session: x.ID}
		}
	}
	return c
}

// guard lets in those who are known. People are sent to the login page, programs are told no.
func (s *site) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.identity(r)
		switch {
		case c.Known():
			next(w, access.Name(r, c))
		case r.Method == http.MethodGet && r.URL.Path != "/metrics":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			plain(w, http.StatusUnauthorized, "show a certificate of the administrators' authority, or log in at /login\n")
		}
	})
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	if s.identity(r).Known() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "login", loginData{})
}

type loginData struct{ User, Problem string }

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLoginForm)
	if err := r.ParseForm(); err != nil {
		plain(w, http.StatusBadRequest, "the form cannot be read\n")
		return
	}
	user, from := r.PostForm.Get("user"), access.Address(r)
	try, wait := s.limit.Take(r.Context(), user, from)
	if try == nil {
		s.Metrics.Login(limited)
		s.Log.Warn("admin site: too many failed logins", "user", user, "address", from)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.show(w, r, http.StatusTooManyRequests, "login",
			loginData{User: user, Problem: "Too many failed logins. Try again in " + wait.Round(time.Second).String() + "."})
		return
	}
	defer try.Done()
	ctx, cancel := context.WithTimeout(r.Context(), loginTimeout)
	defer cancel()
	err := s.Authenticate(ctx, user, r.PostForm.Get("password"))
	switch {
	case err == nil:
		try.Succeeded()
		s.Metrics.Login(accepted)
		s.Log.Info("admin site: login", "user", user, "address", from)
		secret, _ := s.sessions.Open(user, from, r.UserAgent())
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case errors.Is(err, errdef.ErrDenied):
		s.Metrics.Login(refused)
		s.Log.Warn("admin site: login refused", "user", user, "address", from, "err", err)
		s.show(w, r, http.StatusUnauthorized, "login", loginData{User: user, Problem: "User or password is wrong, or the user may not administer this VCH."})
	default:
		try.TakeBack() // nobody's guess
		s.Metrics.Login(failed)
		s.Log.Error("admin site: login cannot be checked", "user", user, "address", from, "err", err)
		s.show(w, r, http.StatusServiceUnavailable, "login",
			loginData{User: user, Problem: "The login cannot be checked now. A certificate of the administrators' authority works all the same."})
	}
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.sessions.Close(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
