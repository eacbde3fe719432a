// Package session is the driver's one vCenter session: login and login again, keep-alive, retries,
// tasks, and the translation of vSphere faults to the error classes of sdk/errdef.
package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	keepAlive  = 5 * time.Minute
	retryFor   = 20 * time.Second // transient faults are tried again for so long
	retryFirst = 50 * time.Millisecond
	retryMax   = 2 * time.Second
)

// Session is a logged-in client. All methods may be called concurrently; calls run side by side, and of
// tasks maxTasks at a time. The session owns two goroutines, keepAlive and while vCenter is away the
// probe of reach; both end with Close.
type Session struct {
	client       *vim25.Client // calls go through Session.RoundTrip
	soap         *soap.Client
	authenticate Login
	log          *slog.Logger
	bg           context.Context // ends with the session
	stop         context.CancelFunc
	reach        reach

	// loginMu is held for the whole of a login, so that of many calls that find the session gone one logs
	// in and the others wait for it. It guards renewed.
	loginMu sync.Mutex
	closed  atomic.Bool   // set by Close: no call logs in again after it
	gen     atomic.Uint64 // counts logins; written under loginMu. Objects of an older session are gone
	renewed chan struct{} // closed and replaced at every login

	waiters waiters
	tasks   chan struct{} // holds one token for each task under way; see Run
}

// Login logs in to the client of m, which nobody is logged in to. It is called again when vCenter has
// ended the session.
type Login func(ctx context.Context, m *session.Manager) error

// ByPassword logs in as a user.
func ByPassword(user, password string) Login {
	return func(ctx context.Context, m *session.Manager) error {
		return m.Login(ctx, url.UserPassword(user, password))
	}
}

// Options are what differs between the programs that open sessions.
type Options struct {
	Login     Login
	UserAgent string // how vCenter's list of sessions names the program; empty: as govmomi names itself
	Log       *slog.Logger
}

// Open connects with the account of the driver's configuration and logs in. The session is kept alive
// until Close.
func Open(ctx context.Context, c config.VCenter, log *slog.Logger) (*Session, error) {
	s, err := Dial(ctx, c, Options{Login: ByPassword(c.User, c.Password), Log: log})
	if err != nil {
		return nil, err
	}
	if err = s.Login(ctx); err != nil {
		err = Error("log in to "+s.reach.host+" as "+c.User, err)
		if _, ok := Find[*types.InvalidLogin](err); ok {
			err = fmt.Errorf("%w (if the account has a new password, vic-machine configure --ops-user, --ops-password tells it to the endpoint)", err)
		}
		return nil, err
	}
	return s, nil
}

// Dial connects and leaves the login to Login. Of c it takes the address and the thumbprint; the errors
// are ErrDenied for a certificate that is not trusted and ErrUnavailable if nobody answers.
func Dial(ctx context.Context, c config.VCenter, o Options) (*Session, error) {
	vc, err := connect(ctx, c, o.UserAgent)
	if err != nil {
		return nil, err
	}
	s := &Session{client: vc, soap: vc.Client, authenticate: o.Login, log: o.Log,
		renewed: make(chan struct{}), tasks: make(chan struct{}, maxTasks)}
	s.bg, s.stop = context.WithCancel(context.Background())
	s.reach = reach{host: vc.URL().Host, probe: s.probe, log: o.Log}
	s.client.RoundTripper = s
	return s, nil
}

// Login logs in and keeps the session alive until Close. The error is the API's own: Error or Classify
// finds its class. A session whose login failed holds nothing and need not be closed.
func (s *Session) Login(ctx context.Context) error {
	if err := s.login(ctx, 0); err != nil {
		s.stop()
		s.soap.CloseIdleConnections()
		return err
	}
	go s.keepAlive(s.bg)
	return nil
}

// Connect makes a client that nobody is logged in to, with the certificate check that the
// configuration asks for.
func Connect(ctx context.Context, c config.VCenter) (*vim25.Client, error) {
	return connect(ctx, c, "")
}

func connect(ctx context.Context, c config.VCenter, userAgent string) (*vim25.Client, error) {
	u, err := soap.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("vcenter.url: %w: %w", errdef.ErrInvalid, err)
	}
	trusted, err := pinned(c.Thumbprint)
	if err != nil {
		return nil, fmt.Errorf("vcenter.thumbprint: %w", err)
	}
	u.User = nil
	sc := soap.NewClient(u, false)
	if userAgent != "" {
		sc.UserAgent = userAgent
	}
	bounded(sc.DefaultTransport(), trusted)
	vc, err := vim25.NewClient(ctx, sc)
	if err != nil {
		return nil, connectError(u.Host, err)
	}
	return vc, nil
}

func connectError(host string, err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("the certificate of %s is not signed by a known authority; set vcenter.thumbprint: %w: %w", host, errdef.ErrDenied, err)
	}
	return Error("connect to "+host, err)
}

// Client is the client to make govmomi objects with.
func (s *Session) Client() *vim25.Client { return s.client }

// Generation changes with every login.
func (s *Session) Generation() uint64 { return s.gen.Load() }

// Renewed returns a channel that is closed at the next login: collectors and views of the session
// that is now are gone then.
func (s *Session) Renewed() <-chan struct{} {
	s.loginMu.Lock()
	defer s.loginMu.Unlock()
	return s.renewed
}

// Close logs out.
func (s *Session) Close(ctx context.Context) error {
	s.closed.Store(true)
	s.stop()
	_, err := methods.Logout(ctx, s.soap, &types.Logout{This: *s.client.ServiceContent.SessionManager})
	s.soap.CloseIdleConnections()
	return Error("log out", err)
}

func (s *Session) keepAlive(ctx context.Context) {
	t := time.NewTicker(keepAlive)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if _, err := methods.GetCurrentTime(ctx, s); err != nil && ctx.Err() == nil {
				s.log.Warn("vCenter does not answer", "err", err)
			}
		}
	}
}

// login makes a new session unless someone else did so since generation seen.
func (s *Session) login(ctx context.Context, seen uint64) error {
	s.loginMu.Lock()
	defer s.loginMu.Unlock()
	if s.gen.Load() != seen {
		return nil
	}
	raw := *s.client
	raw.RoundTripper = s.soap
	if err := s.authenticate(ctx, session.NewManager(&raw)); err != nil {
		return err
	}
	s.gen.Add(1)
	close(s.renewed)
	s.renewed = make(chan struct{})
	return nil
}

// Away returns an error while vCenter does not answer, for requests that are not calls of the API.
func (s *Session) Away() error { return s.reach.away() }

// probe asks vCenter something that needs no login. A fault is an answer too.
func (s *Session) probe(ctx context.Context) error {
	if _, err := methods.GetCurrentTime(ctx, s.soap); isNetwork(err) || ctx.Err() != nil {
		return err
	}
	return nil
}

// RoundTrip implements soap.RoundTripper: it logs in again when the session is gone and repeats
// what failed for a passing reason and can be repeated. While vCenter does not answer it fails at once.
func (s *Session) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	if err := s.reach.away(); err != nil {
		return err
	}
	deadline := time.Now().Add(retryFor)
	wait := retryFirst
	for logins := 0; ; {
		gen := s.gen.Load()
		err := s.soap.RoundTrip(ctx, req, res)
		if err == nil {
			err = hidden(res)
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case Is(err, &types.NotAuthenticated{}) && logins < 3 && !s.closed.Load():
			logins++
			if lerr := s.login(ctx, gen); lerr != nil {
				return Error("log in again", lerr)
			}
			s.log.Info("logged in to vCenter again")
		case repeatable(req, err) && time.Now().Before(deadline):
			if serr := sleep(ctx, wait); serr != nil {
				return serr
			}
			wait = min(2*wait, retryMax)
		default:
			if isDial(err) || isTimeout(err) {
				s.reach.lost(s.bg, err)
			}
			return err
		}
		reflect.ValueOf(res).Elem().SetZero() // else the old fault would be found again
	}
}

// hidden returns the NotAuthenticated that the property collector puts beside each property instead
// of failing.
func hidden(res soap.HasFault) error {
	b, ok := res.(*methods.RetrievePropertiesExBody)
	if !ok || b.Res == nil || b.Res.Returnval == nil {
		return nil
	}
	for _, o := range b.Res.Returnval.Objects {
		for _, m := range o.MissingSet {
			if f, ok := m.Fault.Fault.(*types.NotAuthenticated); ok {
				return soap.WrapVimFault(f)
			}
		}
	}
	return nil
}

// repeatable says that a call failed on its way and may be sent again: it never left, or it only
// reads.
func repeatable(req soap.HasFault, err error) bool {
	if errors.Is(err, errdef.ErrDenied) {
		return false
	}
	if isDial(err) || temporary(err) && !isTimeout(err) {
		return true
	}
	if !isNetwork(err) {
		return false
	}
	name := reflect.TypeOf(req).Elem().Name()
	for _, p := range []string{"Retrieve", "CurrentTime", "CreateFilter", "CreatePropertyCollector", "Find", "Query"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
