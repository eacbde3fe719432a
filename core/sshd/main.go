// Package sshd is the SSH server that vic-machine debug switches on in the endpoint VM or in a hub's, for a while: a
// shell, commands, and nothing else of SSH. It runs as a process of its own, so that it is there when vicd or the hub
// is not.
package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/openvic/vic/core/listen"
	"github.com/openvic/vic/core/sdnotify"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// ConfigFile is where the server finds a guest.SSH as JSON.
const ConfigFile = "/run/vic/ssh.json"

// Main serves until SIGTERM and returns the exit code. The host key is a new one each time; its public
// half goes to the supervisor, so that whoever switched the server on knows it. name is the command's, "vicd ssh".
func Main(name string, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", ConfigFile, "configuration `file`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *file, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, name+":", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, file string, log *slog.Logger) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c guest.SSH
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w: %w", file, errdef.ErrInvalid, err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return err
	}
	s, err := New(c, host, log.With("vch", c.Name))
	if err != nil {
		return err
	}
	l, err := open(ctx, c)
	if err != nil {
		return err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	if err := sdnotify.Send("READY=1\nSTATUS=" + line); err != nil {
		log.Warn("supervisor cannot be told", "err", err)
	}
	return s.Serve(ctx, l)
}

// open ties the listener to a network interface, whatever addresses that has.
func open(ctx context.Context, c guest.SSH) (net.Listener, error) {
	lc := net.ListenConfig{Control: listen.Control(c.Interface)}
	l, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(c.Port))
	if err != nil {
		return nil, fmt.Errorf("port %d of the interface %q: %w", c.Port, c.Interface, err)
	}
	return l, nil
}
