package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// kept is a trail in memory.
type kept struct{ all []Record }

func (k *kept) Keep(_ context.Context, r Record) { k.all = append(k.all, r) }

func TestWhoCalls(t *testing.T) {
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "bob"}}
	for _, c := range []struct {
		name string
		tls  *tls.ConnectionState
		addr net.Addr
		want Caller
	}{
		{"no TLS", nil, &net.TCPAddr{}, Caller{Method: Anonymous, Address: "192.0.2.1"}},
		{"no certificate", &tls.ConnectionState{}, &net.TCPAddr{}, Caller{Method: Anonymous, Address: "192.0.2.1"}},
		{"a certificate that nobody verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, &net.TCPAddr{},
			Caller{Method: Anonymous, Address: "192.0.2.1"}},
		{"a verified one", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}, &net.TCPAddr{},
			Caller{Name: "bob", Method: ByCertificate, Address: "192.0.2.1"}},
		{"the socket", nil, &net.UnixAddr{Net: "unix"}, Caller{Name: "root", Method: BySocket}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Forwarded-For", "198.51.100.1") // not believed
		r.TLS = c.tls
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.addr))
		if got := Certified(r); got != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if c := From(t.Context()); c.Known() || c.Method != Anonymous {
		t.Errorf("nobody is %+v", c)
	}
}

func TestWhatChangesIsRecorded(t *testing.T) {
	k := &kept{}
	h := Audit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/named" {
			r = Name(r, Caller{Name: "alice", Method: BySession})
			if From(r.Context()).Name != "alice" {
				t.Error("the context does not know alice")
			}
		}
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "x")
	}), k)
	for _, target := range []string{"GET /named", "POST /named?password=secret", "DELETE /refused", "PUT /plain"} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("User-Agent", strings.Repeat("a", 1000))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	want := []Record{
		{Caller: Caller{Name: "alice", Method: BySession}, Operation: "POST", Resource: "/named", Status: 200},
		{Caller: Caller{Method: Anonymous, Address: "192.0.2.1"}, Operation: "DELETE", Resource: "/refused", Status: 403},
		{Caller: Caller{Method: Anonymous, Address: "192.0.2.1"}, Operation: "PUT", Resource: "/plain", Status: 200},
	}
	if len(k.all) != len(want) {
		t.Fatalf("%d records: %+v", len(k.all), k.all)
	}
	for i, r := range k.all {
		if r.Time.IsZero() || len(r.Agent) != maxAgent {
			t.Errorf("%+v", r)
		}
		r.Time, r.Took, r.Agent = want[i].Time, 0, ""
		if r != want[i] {
			t.Errorf("%+v, want %+v", r, want[i])
		}
	}
}

func TestATakenOverConnectionIsRecorded(t *testing.T) {
	k := &kept{}
	done := make(chan struct{})
	handler := Audit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack() // as Docker's handlers do
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Length: 0\r\n\r\n")
		_ = conn.Close()
	}), k)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		handler.ServeHTTP(w, r)
	}))
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/attach/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Upgrade", "tcp")
	r.Header.Set("Connection", "Upgrade")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-done
	if len(k.all) != 1 || k.all[0].Status != http.StatusSwitchingProtocols || k.all[0].Operation != "GET" {
		t.Errorf("%+v", k.all)
	}
}
