package cli

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/service"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

// shared is an output that is read while it is written.
func TestTheServiceSaysWhatTheCommandSays(t *testing.T) {
	sim := simtest.New(t)
	svc := service.New(t.Context(), service.Config{Version: "v9", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	srv := httptest.NewServer(svc)
	defer srv.Close()
	defer svc.Interrupt()
	for _, c := range []struct {
		args         []string
		method, path string
		body         string
	}{
		{[]string{"inspect", "--name", "x", "--id", "vm-7777"}, "GET", "/vch/vm-7777", ""},
		{[]string{"create", "--memory-shares", "much"}, "POST", "/vch", `{"memory-shares": "much"}`},
		{[]string{"create", "--no-tls", "--no-tlsverify"}, "POST", "/vch", `{"no-tls": true, "no-tlsverify": true}`},
		{[]string{"create", "--dry-run", "--bridge-network", "nosuch", "--tls-cname", "a"}, "POST", "/vch/plan", `{"bridge-network": "nosuch", "tls-cname": ["a"]}`},
		{[]string{"debug", "--id", "vm-7777", "--log-level", "loud"}, "POST", "/vch/vm-7777/log-level", `{"log-level": "loud"}`},
		{[]string{"certificate", "show", "--id", "vm-7777"}, "GET", "/vch/vm-7777/certificate", ""},
	} {
		r := run(t, append(append([]string{}, c.args...), access(sim)...)...)
		req, err := http.NewRequestWithContext(t.Context(), c.method,
			srv.URL+"/container/target/"+sim.Server.URL.Host+c.path+"?thumbprint="+sim.Target.Thumbprint, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(simtest.User, simtest.Password)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var p service.Problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
		want := "vic-machine: " + p.Detail + "\n"
		if p.Advice != "" {
			want += "  -> " + p.Advice + "\n"
		}
		if r.code == 0 || p.Detail == "" || r.err != want {
			t.Errorf("%v: the command says\n%s\nthe service\n%s", c.args, r.err, want)
		}
		for _, x := range p.Checks {
			if !strings.Contains(r.out, x.Message) {
				t.Errorf("the command does not say %q", x.Message)
			}
		}
	}
}

func TestServeServesUntilItIsInterrupted(t *testing.T) {
	out := &simtest.Output{}
	a := &app{in: strings.NewReader(""), out: out, err: out, version: "v9"}
	ctx, cancel := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"serve", "--plain-http", "--listen", "127.0.0.1:0"}) }()
	url := out.Await(t, `serving on (http://\S+);`)[1]
	res, err := http.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(b), `"openapi": "3.0.3"`) {
		t.Errorf("%v %.100s", err, b)
	}
	cancel(operation.ErrInterrupted)
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d: %s", got, out)
	}
	for _, args := range [][]string{{"--plain-http", "--listen", "0.0.0.0:0"}, {"--cert", "x"}, {"--listen", "x"}} {
		if r := run(t, append([]string{"serve"}, args...)...); r.code != exitUsage || !strings.Contains(r.err, "  -> ") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
