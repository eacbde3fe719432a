package metrics

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func certificate(t *testing.T, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhatIsTold(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	m := New(Options{Name: "vch1", Version: "1.2", Containers: func() map[string]int { return map[string]int{"running": 3, "exited": 0} },
		Plugins:      func() []Plugin { return []Plugin{{Name: "vsphere", Up: true, Restarts: 2}} },
		Ready:        func() bool { return true },
		Certificates: map[string]string{"server": certificate(t, until), "gone": "/nowhere"}})
	m.Call("vsphere", "/vic.compute.v1.ComputeService/Create", false, 30*time.Millisecond, nil)
	m.Call("vsphere", "/vic.compute.v1.ComputeService/Create", false, time.Millisecond, status.Error(codes.NotFound, "x"))
	m.Call("vsphere", "/vic.compute.v1.ComputeService/Connect", true, 0, nil)
	m.Call("vsphere", "/vic.storage.v1.StorageService/StatLayer", false, 0, errors.New("down"))
	m.Pull(time.Second, nil)
	m.Pull(time.Second, errors.New("x"))
	m.Login("refused")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var text strings.Builder
	if err := m.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`vic_build_info{vch="vch1",version="1.2"} 1`,
		`vic_containers{state="running"} 3`, `vic_containers{state="exited"} 0`,
		`vic_plugin_up{plugin="vsphere"} 1`, `vic_plugin_healthy{plugin="vsphere"} 0`, `vic_plugin_restarts_total{plugin="vsphere"} 2`, `vic_ready 1`,
		`vic_certificate_expiry_timestamp_seconds{certificate="server"} ` + strconv.FormatFloat(float64(until.Unix()), 'e', -1, 64),
		`vic_plugin_calls_total{code="OK",method="compute/Create",plugin="vsphere"} 1`,
		`vic_plugin_calls_total{code="NotFound",method="compute/Create",plugin="vsphere"} 1`,
		`vic_plugin_calls_total{code="Unavailable",method="storage/StatLayer",plugin="vsphere"} 1`,
		`vic_plugin_call_seconds_bucket{method="compute/Create",plugin="vsphere",le="0.1"} 2`,
		`vic_link_connects_total 1`, `vic_image_pulls_total{result="ok"} 1`, `vic_image_pulls_total{result="error"} 1`,
		`vic_admin_logins_total{result="refused"} 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
		if !strings.Contains(text.String(), line+"\n") {
			t.Errorf("the text lacks %s", line)
		}
	}
	if strings.Contains(text.String(), `certificate="gone"`) || !strings.Contains(text.String(), "go_goroutines") {
		t.Error(text.String())
	}
}
