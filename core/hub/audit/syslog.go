package audit

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Syslog is where lines of the log are sent as well: RFC 5424, over UDP one a datagram, over TCP and TLS with the octet
// counting of RFC 6587 and RFC 5425.
type Syslog struct {
	// Address is udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.
	Address string
	// CA is a file with the authority of a TLS server; "": the system's.
	CA string
	// Host is the hub's name in each message.
	Host string
}

// Forwarder sends sealed lines to a syslog server, in the order of the chain. Several hubs may run one on one database: one
// of them sends. A place in the database says how far it has come, so that lines wait while the server is away or the
// hub is; a line may come twice. What is sent begins with the first line after forwarding was switched on.
type Forwarder struct {
	l         *Log
	to        Syslog
	network   string // of net.Dial
	addr      string
	tls       *tls.Config
	worker    string
	log       *slog.Logger
	conn      net.Conn
	unsettled bool // it was told that the server does not answer
}

// Bounds of forwarding.
const (
	forwardEvery = time.Second
	forwardOnce  = 200 // lines in one go
	forwardLease = 30 * time.Second
	syslogWait   = 10 * time.Second // for a connection, and for a batch
	maxSyslog    = 8 << 10          // bytes of one message, which fits a datagram
)

// NewForwarder reads where to send; errdef.ErrInvalid.
func NewForwarder(l *Log, to Syslog) (*Forwarder, error) {
	u, err := url.Parse(to.Address)
	if err != nil || u.Port() == "" || u.Hostname() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%.200q is not udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT: %w", to.Address, errdef.ErrInvalid)
	}
	f := &Forwarder{l: l, to: to, network: u.Scheme, addr: u.Host, worker: rand.Text(), log: l.log}
	switch u.Scheme {
	case "udp", "tcp":
		if to.CA != "" {
			return nil, fmt.Errorf("an authority is for tls://, not for %s://: %w", u.Scheme, errdef.ErrInvalid)
		}
	case "tls":
		f.network, f.tls = "tcp", &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
		if to.CA != "" {
			text, err := os.ReadFile(to.CA)
			if err != nil {
				return nil, err
			}
			f.tls.RootCAs = x509.NewCertPool()
			if !f.tls.RootCAs.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("%s holds no certificate: %w", to.CA, errdef.ErrInvalid)
			}
		}
	default:
		return nil, fmt.Errorf("%.40q is none of udp, tcp and tls: %w", u.Scheme, errdef.ErrInvalid)
	}
	return f, nil
}

// Run sends until ctx ends. One goroutine runs it.
func (f *Forwarder) Run(ctx context.Context) {
	defer f.hangUp()
	for {
		select {
		case <-time.After(forwardEvery):
		case <-ctx.Done():
			return
		}
		for {
			n, err := f.some(ctx)
			if err != nil && ctx.Err() == nil && !f.unsettled {
				f.log.Warn("the audit log cannot be forwarded; its lines wait", "err", err)
			} else if err == nil && n > 0 && f.unsettled {
				f.log.Info("the audit log is forwarded again")
			}
			if err != nil || n > 0 {
				f.unsettled = err != nil
			}
			if err != nil || n < forwardOnce {
				break
			}
		}
	}
}

// some sends what comes next, if this process is the one that sends.
func (f *Forwarder) some(ctx context.Context) (n int, err error) {
	var last int64
	mine := false
	err = f.l.db.Tx(ctx, func(tx *store.Tx) error {
		_, end, err := chain(tx)
		if err != nil {
			return err
		}
		now := f.l.now().UnixMilli()
		if _, err := tx.Exec(`INSERT INTO audit_forward (id, last, worker, until) VALUES (1, $1, '', 0) ON CONFLICT (id) DO NOTHING`, end.seq); err != nil {
			return err
		}
		err = tx.Row(`UPDATE audit_forward SET worker = $1, until = $2 WHERE id = 1 AND (worker = $1 OR until < $3) RETURNING last`, f.worker,
			now+forwardLease.Milliseconds(), now).Scan(&last)
		if mine = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || !mine {
		return 0, err
	}
	type sealed struct {
		Line
		seq int64
	}
	list, _, err := store.List(ctx, f.l.db, forwardOnce, func(r *sql.Rows) (s sealed, err error) {
		s.Line, err = scan(r, &s.seq)
		return s, err
	}, `SELECT `+columns+`, seq FROM audit_line WHERE seq > $1 ORDER BY seq LIMIT $2`, last)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if err := f.dial(ctx); err != nil {
		return 0, err
	}
	if err := f.conn.SetWriteDeadline(time.Now().Add(syslogWait)); err != nil {
		return 0, err
	}
	for _, s := range list {
		if err := f.send(f.to.message(s.Line, s.seq)); err != nil {
			f.hangUp()
			return 0, err
		}
	}
	err = f.l.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE audit_forward SET last = $1 WHERE id = 1 AND worker = $2 AND last < $1`, list[len(list)-1].seq, f.worker)
		return err
	})
	return len(list), err
}

// dial makes a connection, unless there is one that the server has not ended.
func (f *Forwarder) dial(ctx context.Context) error {
	if f.conn != nil && f.network == "tcp" {
		// Nothing comes from a syslog server: what is not a time-out is its end.
		var one [1]byte
		if err := f.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			f.hangUp()
		} else if _, err := f.conn.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			f.hangUp()
		}
	}
	if f.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syslogWait)
	defer cancel()
	var err error
	if f.tls != nil {
		f.conn, err = (&tls.Dialer{Config: f.tls}).DialContext(ctx, f.network, f.addr)
	} else {
		f.conn, err = (&net.Dialer{}).DialContext(ctx, f.network, f.addr)
	}
	if err != nil {
		f.conn = nil
		return fmt.Errorf("syslog server: %w", err)
	}
	return nil
}

func (f *Forwarder) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}

func (f *Forwarder) send(message string) error {
	if f.network == "tcp" {
		message = strconv.Itoa(len(message)) + " " + message
	}
	if _, err := f.conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("syslog server: %w", err)
	}
	return nil
}

// Priorities: facility 13, log audit, with severity notice and, for what was refused, warning.
const (
	notice  = 13<<3 | 5
	warning = 13<<3 | 4
)

// message is a line as RFC 5424 has it. What clients sent is in structured data, where it can end nothing.
func (s Syslog) message(x Line, seq int64) string {
	pri := notice
	if x.Outcome >= http.StatusBadRequest {
		pri = warning
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s vic-hub - %s [vic@6876", pri, x.Time.UTC().Format("2006-01-02T15:04:05.000Z"), word(s.Host, 255), word(x.Operation, 32))
	for _, p := range []struct{ name, value string }{{"seq", strconv.FormatInt(seq, 10)}, {"user", x.Caller.Name}, {"authentication", string(x.Caller.Method)},
		{"address", x.Caller.Address}, {"type", x.Type}, {"resource", x.Resource}, {"project", strconv.FormatInt(x.Project, 10)},
		{"outcome", strconv.Itoa(x.Outcome)}, {"agent", x.Agent}, {"detail", x.Detail}} {
		if p.value == "" {
			continue
		}
		part := " " + p.name + `="` + escape(p.value) + `"`
		if b.Len()+len(part) >= maxSyslog {
			break
		}
		b.WriteString(part)
	}
	b.WriteString("]")
	return b.String()
}

// word is a text of a header: printable ASCII without spaces; "-" for none.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s = s[:min(len(s), most)]; s == "" {
		return "-"
	}
	return s
}

// escape makes a value of structured data.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(s)
}
