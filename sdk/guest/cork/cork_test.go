package cork

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the writes of a connection; after some it fails.
type counted struct {
	net.Conn
	writes atomic.Int32
	fail   error
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if c.fail != nil {
		return 0, c.fail
	}
	return c.Conn.Write(p)
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// What TLS writes arrives whole and in order, whatever its sizes, in fewer writes.
func TestBulksAreFewWrites(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	var want []byte
	for i := range 40 {
		sizes = append(sizes, 256<<10, 1+i, 16<<10, 3*16<<10, 100)
	}
	for i, n := range sizes {
		want = append(want, bytes.Repeat([]byte{byte(i)}, n)...)
	}
	writes := make(chan int32, 1)
	go func() {
		defer close(writes)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		under := &counted{Conn: raw}
		c := tls.Server(Conn(under), &tls.Config{Certificates: []tls.Certificate{certificate(t)}, DynamicRecordSizingDisabled: true})
		at := 0
		for _, n := range sizes {
			if _, err := c.Write(want[at : at+n]); err != nil {
				t.Error(err)
			}
			at += n
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		writes <- under.writes.Load()
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if n, records := <-writes, len(want)/(16<<10); int(n) > records/2 {
		t.Errorf("%d writes for %d records", n, records)
	}
}

func TestAFullRecordWaitsAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := Conn(a)
		begun := time.Now()
		if n, err := c.Write(make([]byte, record)); n != record || err != nil {
			t.Fatal(n, err)
		}
		if _, err := io.ReadFull(b, make([]byte, record)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != hold {
			t.Errorf("it came after %v", d)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseWritesWhatIsHeldAndErrorsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := Conn(a)
		_, _ = c.Write(make([]byte, record))
		go c.Close()
		if got, err := io.ReadAll(b); len(got) != record || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the close: %v", err)
		}
		a, _ = net.Pipe()
		broken := errors.New("broken")
		c = Conn(&counted{Conn: a, fail: broken})
		if _, err := c.Write(make([]byte, record)); err != nil {
			t.Errorf("put off: %v", err)
		}
		time.Sleep(2 * hold) // the bubble's time
		if _, err := c.Write([]byte("x")); !errors.Is(err, broken) {
			t.Errorf("told: %v", err)
		}
	})
}
