package link_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/core/link/linktest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// pipes connects a tether that serves with whoever calls Connect.
type pipes struct{ tether *linktest.Tether }

func (p pipes) Connect(context.Context, string) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	go p.tether.Serve(theirs)
	return ours, nil
}

func authority(t *testing.T) *link.Authority {
	t.Helper()
	a, err := link.NewAuthority(enginetest.NewCA(t))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// boot starts a tether with an identity of its own choice.
func boot(t *testing.T, a *link.Authority, name string) *linktest.Tether {
	t.Helper()
	ident, err := a.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	config := guest.Config{ID: id, Identity: ident, Process: guest.Process{Args: []string{"sleep"}}}
	tether, err := linktest.Boot(config, "1", linktest.NewOutput(), func(guest.Exit) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tether.Halt)
	return tether
}

func hello(t *testing.T, a *link.Authority, tether *linktest.Tether) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	l, err := link.NewDialer(pipes{tether}, a).Dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Hello(ctx)
	return err
}

func TestPeersMustBeWhoTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		if err := hello(t, a, boot(t, a, id)); err != nil {
			t.Errorf("the right tether: %v", err)
		}
		if err := hello(t, a, boot(t, a, "another")); err == nil {
			t.Error("a tether with another container's identity is taken")
		}
		if err := hello(t, authority(t), boot(t, a, id)); err == nil {
			t.Error("a tether of another VCH is taken")
		}
	})
}

func TestAuthorityMustBeOne(t *testing.T) {
	cert, _ := enginetest.NewCA(t)
	_, key := enginetest.NewCA(t)
	if _, err := link.NewAuthority(cert, key); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("key of another: %v", err)
	}
}

func TestCallsEndWithTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		tether := boot(t, a, id)
		l, err := link.NewDialer(pipes{tether}, a).Dial(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := l.Wait(context.Background(), "")
			done <- err
		}()
		synctest.Wait() // the tether has the call
		select {
		case err := <-done:
			t.Fatalf("the call has ended before the process: %v", err)
		default:
		}
		l.Close()
		synctest.Wait()
		select {
		case err := <-done:
			if !errors.Is(err, errdef.ErrUnavailable) {
				t.Errorf("err %v", err)
			}
		default:
			t.Error("the call does not end")
		}
	})
}

// A start is waited for at the tether.
func TestAStartIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		tether := boot(t, a, id)
		tether.SetBooting(true)
		l, err := link.NewDialer(pipes{tether}, a).Dial(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		started := make(chan error, 1)
		go func() { started <- l.AwaitStart(t.Context()) }()
		synctest.Wait()
		tether.Break() // a wait goes on over the next connection
		synctest.Wait()
		select {
		case err := <-started:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		tether.SetBooting(false)
		if err := <-started; err != nil {
			t.Error(err)
		}
	})
}
