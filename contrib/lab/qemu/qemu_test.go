package qemu

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/contrib/lab/l2"
)

func joined(s Spec) string {
	h := &Host{cfg: Config{Accel: "tcg"}}
	return strings.Join(h.args(&s, "port"), " ")
}

func TestArgs(t *testing.T) {
	small := Spec{Name: "a,b", CPUs: 2, MemoryMB: 128, CDROM: "/x,y.iso", Controllers: []Controller{{0, "pvscsi"}},
		Serials: []Serial{{File: "/c.log"}, {Host: "h", Port: "1", Server: true, Telnet: true}, {}}}
	got := joined(small)
	for _, want := range []string{"-name guest=a,,b", "-accel tcg,thread=multi,tb-size=64", "-smp 2", "-m 128", "max,", "file=/x,,y.iso",
		"pvscsi,id=scsi0,bus=pcie.0,addr=0x4", "file,id=ser0,append=on,path=/c.log", "socket,id=ser1,host=h,port=1,server=on,wait=off,telnet=on,nodelay=on",
		"null,id=ser2", "virtserialport,bus=vs0.0,chardev=rpc,name=port"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if strings.Contains(got, "-no-reboot") {
		t.Error("a guest must be able to reboot")
	}
	if got := joined(Spec{MemoryMB: 2048}); !strings.Contains(got, "tb-size=256") || !strings.Contains(got, "-cpu max") {
		t.Errorf("a large VM: %s", got)
	}
	if s := (Spec{NICs: make([]NIC, 9)}); s.ports() != 11 {
		t.Errorf("%d slots for 9 NICs", s.ports())
	}
}

func TestMissingQEMU(t *testing.T) {
	_, err := NewHost(Config{Binary: "qemu-is-not-here"})
	if !errors.Is(err, ErrNoQEMU) || !strings.Contains(err.Error(), "qemu-system-x86") {
		t.Error(err)
	}
}

func TestErrorsHaveClasses(t *testing.T) {
	if !errors.Is(qmpError("blockdev-add", `Failed to get "write" lock`), ErrLocked) {
		t.Error("write lock")
	}
	missing := qmpError("blockdev-add", "Could not open 'x': No such file or directory")
	if errors.Is(missing, ErrLocked) || !errors.Is(missing, os.ErrNotExist) {
		t.Error(missing)
	}
}

func port(t *testing.T, answer func(string) string) (*channel, net.Conn) {
	t.Helper()
	near, far, err := l2.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	c := &channel{conn: near, answer: answer}
	go c.serve()
	return c, far
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, len(want))
	for n := 0; n < len(b); {
		m, err := c.Read(b[n:])
		if err != nil {
			t.Fatalf("want %q: got %q, %v", want, b[:n], err)
		}
		n += m
	}
	if string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestGuestPort(t *testing.T) {
	var asked []string
	c, far := port(t, func(s string) string { asked = append(asked, s); return "1 " + s })
	write(t, far, "one\ntwo\r\nth")
	read(t, far, "1 one\n1 two\n")
	write(t, far, "ree\n")
	read(t, far, "1 three\n")
	if err := c.send("tclo OS_Halt"); err != nil {
		t.Fatal(err)
	}
	read(t, far, "tclo OS_Halt\n")
	if !slices.Equal(asked, []string{"one", "two", "three"}) {
		t.Errorf("%q", asked)
	}
}

// What a guest had begun to ask when it was reset is not put before the new guest's first request.
func TestResetForgetsHalfARequest(t *testing.T) {
	c, far := port(t, func(s string) string { return s })
	write(t, far, "sync\ninfo-set guestinfo.x hal")
	read(t, far, "sync\n") // the channel has read both, which came at once
	c.reset()
	write(t, far, "info-get guestinfo.y\n")
	read(t, far, "info-get guestinfo.y\n")
}

func TestOverlongRequestIsRefused(t *testing.T) {
	_, far := port(t, func(s string) string { return s })
	go func() { _, _ = far.Write(make([]byte, maxRequest+1<<20)) }()
	read(t, far, "0 Request too long\n")
}
