package rpci

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/vmware/vmw-guestinfo/bdoor"
)

// host answers commands on its end of a pipe.
func host(t *testing.T, answer func(line string) string) (Keys, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		r := bufio.NewReader(theirs)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(theirs, answer(strings.TrimSuffix(line, "\n"))+"\n")
		}
	}()
	return Keys{NewStream(t.Context(), ours)}, theirs
}

func TestKeysSpeakRPCI(t *testing.T) {
	var lines []string
	k, _ := host(t, func(line string) string {
		lines = append(lines, line)
		switch line {
		case "info-get guestinfo.vic.config":
			return `1 {"version":1,"id":"x"}`
		case "info-get guestinfo.vic.link":
			return "0 No value found"
		case "info-get guestinfo.vic.bad":
			return "1 {"
		}
		return "1 "
	})
	ctx := t.Context()
	var c guest.Config
	if err := k.GetJSON(ctx, guest.KeyConfig, &c); err != nil || c.ID != "x" {
		t.Fatal(c, err)
	}
	if err := k.GetJSON(ctx, guest.KeyLink, &c); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("no value: %v", err)
	}
	if err := k.GetJSON(ctx, "bad", &c); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("bad value: %v", err)
	}
	if err := k.SetJSON(ctx, guest.KeyExit, guest.Exit{Code: 3, Error: "a\nb"}); err != nil {
		t.Fatal(err)
	}
	if err := k.SetRaw(ctx, "guestinfo.ip", "1.2.3.4\n"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines[3:], "|"); got != `info-set guestinfo.vic.exit {"code":3,"error":"a\nb"}|info-set guestinfo.ip 1.2.3.4 ` {
		t.Errorf("sent %q", got)
	}
}

func TestTheHostsTime(t *testing.T) {
	answers := map[string]string{}
	k, h := host(t, func(line string) string { return answers[line] })
	for _, c := range []struct {
		answer string
		want   time.Time
		err    error
	}{
		{"1 1790000000 250000", time.Unix(1790000000, 250e6), nil},
		{"0 Unknown command", time.Time{}, errdef.ErrUnsupported},
		{"1 soon", time.Time{}, errdef.ErrInvalid},
	} {
		answers[guest.TimeCommand] = c.answer
		if got, err := k.Time(t.Context()); !got.Equal(c.want) || !errors.Is(err, c.err) {
			t.Errorf("%q: %v %v", c.answer, got, err)
		}
	}
	go io.WriteString(h, "tclo Time_Synchronize 1\n")
	select {
	case <-k.Resumed():
	case <-time.After(time.Minute):
		t.Error("the end of a pause was not seen")
	}
}

// ESXi leaves EAX as it is when it knows the command.
func TestTheBackdoorsTime(t *testing.T) {
	out := &bdoor.BackdoorProto{}
	out.AX.SetValue(bdoor.BackdoorMagic)
	out.BX.SetValue(250000)
	out.DX.SetValue(5)
	out.SI.SetValue(1)
	if got, err := timeOf(out); err != nil || !got.Equal(time.Unix(1<<32+5, 250e6)) {
		t.Errorf("%v %v", got, err)
	}
	out.AX.SetValue(0xffffffff)
	if _, err := timeOf(out); !errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("a host that does not know the command: %v", err)
	}
}

func TestTheBackdoorsChannel(t *testing.T) {
	b := &Backdoor{halt: make(chan struct{}), resumed: make(chan struct{}, 1)}
	for request, want := range map[string]string{"ping": "OK ", "Time_Synchronize 1": "OK ", "Nonsense": "ERROR Unknown command", "": ""} {
		if got := b.answer(t.Context(), request); got != want {
			t.Errorf("%s: %q", request, got)
		}
	}
	if len(b.Resumed()) != 1 {
		t.Error("the end of a pause was not seen")
	}
}

func TestHaltComesBetweenAnswers(t *testing.T) {
	k, h := host(t, func(string) string { return "1 v" })
	go io.WriteString(h, "tclo OS_Halt\n")
	select {
	case <-k.Halt():
	case <-time.After(time.Minute):
		t.Fatal("not seen")
	}
	if v, err := k.Get(t.Context(), "x"); v != "v" || err != nil {
		t.Fatal(v, err)
	}
}

// port is a virtio port: reads end while no host is there.
type port struct {
	written chan string
	reads   chan string
}

func (p *port) Write(b []byte) (int, error) {
	p.written <- string(b)
	return len(b), nil
}

func (p *port) Read(b []byte) (int, error) {
	s := <-p.reads
	if s == "" {
		return 0, io.EOF
	}
	return copy(b, s), nil
}

func TestCommandIsSentAgainWhenTheHostComesBack(t *testing.T) {
	p := &port{written: make(chan string, 8), reads: make(chan string)}
	k := Keys{NewStream(t.Context(), p)}
	go func() {
		<-p.written
		p.reads <- "" // the host has gone with the command
		<-p.written
		p.reads <- "1 again\n"
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if v, err := k.Get(ctx, "x"); v != "again" || err != nil {
		t.Fatal(v, err)
	}
}

// The port may seem to have no host for a moment although the command has reached it: then the command is
// answered twice, and the second answer is not the next command's.
func TestAnAnswerThatComesTwiceIsNotTheNextCommands(t *testing.T) {
	p := &port{written: make(chan string, 8), reads: make(chan string)}
	k := Keys{NewStream(t.Context(), p)}
	go func() {
		keys := map[string]string{}
		for n := 0; ; n++ {
			var line string
			select {
			case line = <-p.written:
			case <-t.Context().Done():
				return
			}
			if n == 0 {
				p.reads <- ""
			}
			words := strings.SplitN(strings.TrimSpace(line), " ", 3)
			switch {
			case words[0] == "info-set":
				keys[words[1]] = words[2]
				p.reads <- "1 \n"
			case keys[words[1]] != "":
				p.reads <- "1 " + keys[words[1]] + "\n"
			default:
				p.reads <- "1 value of " + words[1] + "\n"
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, key := range []string{"a", "b", "c"} {
		if v, err := k.Get(ctx, key); v != "value of guestinfo.vic."+key || err != nil {
			t.Fatalf("%s: %q %v", key, v, err)
		}
	}
}

func TestPortIsFoundByName(t *testing.T) {
	class := t.TempDir()
	for dev, name := range map[string]string{"vport0p1": "other", "vport1p2": guest.RPCIPort} {
		os.Mkdir(filepath.Join(class, dev), 0o755)
		os.WriteFile(filepath.Join(class, dev, "name"), []byte(name+"\n"), 0o644)
	}
	if got := findPort(class, guest.RPCIPort); got != "vport1p2" {
		t.Fatal(got)
	}
}
