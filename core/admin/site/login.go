package site

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	cookieName   = "__Host-vicadmin" // the prefix makes browsers insist on Secure and Path=/
	idleTimeout  = 30 * time.Minute
	longest      = 12 * time.Hour
	maxSessions  = 100
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

// session is one login.
type session struct {
	user        string
	began, seen time.Time
}

// sessions are in memory: after a restart everyone logs in again.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[string]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[string]*session{}}
}

// add makes a session; the oldest goes when there are too many.
func (s *sessions) add(user string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		oldest := ""
		for t, x := range s.all {
			if oldest == "" || x.seen.Before(s.all[oldest].seen) {
				oldest = t
			}
		}
		delete(s.all, oldest)
	}
	s.all[token] = &session{user: user, began: s.now(), seen: s.now()}
	return token
}

// user returns whose session it is.
func (s *sessions) user(token string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.all[token]
	if !ok {
		return "", false
	}
	if now := s.now(); now.Sub(x.seen) > idleTimeout || now.Sub(x.began) > longest {
		delete(s.all, token)
		return "", false
	}
	x.seen = s.now()
	return x.user, true
}

func (s *sessions) remove(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, token)
}

// identity says who calls.
func (s *site) identity(r *http.Request) (name string, byCookie, ok bool) {
	if name, ok := admin.Verified(r); ok {
		return name, false, true
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if user, ok := s.sessions.user(c.Value); ok {
			return user, true, true
		}
	}
	return "", false, false
}

type identityKey struct{}

// caller is who made a request that guard let in.
type caller struct {
	Name     string
	ByCookie bool // logged in, so they can log out
}

func who(r *http.Request) caller {
	c, _ := r.Context().Value(identityKey{}).(caller)
	return c
}

// guard lets in those who are known. People are sent to the login page, programs are told no.
func (s *site) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, byCookie, ok := s.identity(r)
		switch {
		case ok:
			next(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, caller{name, byCookie})))
		case r.Method == http.MethodGet && r.URL.Path != "/metrics":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			plain(w, http.StatusUnauthorized, "show a certificate of the administrators' authority, or log in at /login\n")
		}
	})
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.identity(r); ok {
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
	user, from := r.PostForm.Get("user"), address(r)
	if wait := s.limit.take(from); wait > 0 {
		s.Metrics.Login(limited)
		s.Log.Warn("admin site: too many failed logins", "user", user, "address", from)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.show(w, r, http.StatusTooManyRequests, "login", loginData{User: user, Problem: "Too many failed logins. Try again in " + wait.Round(time.Second).String() + "."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginTimeout)
	defer cancel()
	err := s.Authenticate(ctx, user, r.PostForm.Get("password"))
	switch {
	case err == nil:
		s.limit.forgive(from)
		s.Metrics.Login(accepted)
		s.Log.Info("admin site: login", "user", user, "address", from)
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.sessions.add(user), Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case errors.Is(err, errdef.ErrDenied):
		s.Metrics.Login(refused)
		s.Log.Warn("admin site: login refused", "user", user, "address", from, "err", err)
		s.show(w, r, http.StatusUnauthorized, "login", loginData{User: user, Problem: "User or password is wrong, or the user may not administer this VCH."})
	default:
		s.limit.forgive(from) // nobody's guess
		s.Metrics.Login(failed)
		s.Log.Error("admin site: login cannot be checked", "user", user, "address", from, "err", err)
		s.show(w, r, http.StatusServiceUnavailable, "login", loginData{User: user, Problem: "The login cannot be checked now. A certificate of the administrators' authority works all the same."})
	}
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.sessions.remove(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// address is the caller's without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
