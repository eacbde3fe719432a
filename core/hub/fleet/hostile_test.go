package fleet

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/vchs/vchtest"
	"github.com/openvic/vic/sdk/errdef"
)

// again reads a text without end, up to so many bytes.
type again struct {
	text string
	left int
	at   int
}

// Read implements io.Reader.
func (a *again) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && n < a.left {
		c := copy(p[n:min(len(p), a.left)], a.text[a.at:])
		n, a.at = n+c, (a.at+c)%len(a.text)
	}
	a.left -= n
	return n, nil
}

func TestAListIsNoLargerInMemoryThanItsContainers(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readList(io.MultiReader(strings.NewReader("["), &again{text: "{},", left: 30 << 20}, strings.NewReader("{}]")))
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "more than 50000 containers") {
		t.Errorf("ten million containers: %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
		t.Errorf("%d bytes of memory for a list of 30 MB", n)
	}
	if _, err := readList(io.MultiReader(strings.NewReader(`[{"Ports":[`), &again{text: "{},", left: 3 << 20}, strings.NewReader("{}]}]"))); err == nil {
		t.Error("a container of a million ports is read")
	}
	for text, n := range map[string]int{"null": 0, "[]": 0, `[{"ID":"` + vchtest.ID(1) + `","State":"running"},{"ID":"x"}]`: 1} {
		if list, err := readList(strings.NewReader(text)); err != nil || len(list) != n {
			t.Errorf("%s: %v, %v", text, list, err)
		}
	}
	for _, text := range []string{"", "{}", "[", "[{}", "[1]", "x"} {
		if _, err := readList(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// anyone is a Dialer that takes whoever answers for the VCH.
type anyone struct{}

func (anyone) TLS(vchs.VCH) (*tls.Config, error) {
	return &tls.Config{InsecureSkipVerify: true}, nil //nolint:gosec // of a test's own server
}

func TestAHeaderWithoutEndIsNoStream(t *testing.T) {
	header := &again{text: "X-A: b\r\n", left: 64 << 20}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, io.MultiReader(strings.NewReader("HTTP/1.1 101 Switching Protocols\r\n"), header, strings.NewReader("\r\n")))
	}))
	conn, err := Dial(anyone{}, vchs.VCH{Name: "one", Address: server.Listener.Addr().String()})
	must(t, err)
	stream, _, err := conn.Hijack(t.Context(), "/exec/x/start", nil)
	if err == nil {
		_ = stream.Close()
	}
	server.Close() // waits for the handler
	if !errors.Is(err, errdef.ErrUnavailable) || header.left == 0 {
		t.Errorf("%v, %d bytes of the header are left", err, header.left)
	}
}
