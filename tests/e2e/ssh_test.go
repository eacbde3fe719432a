package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/openvic/vic/tests/harness"
)

// sshKey makes a key and the file of its public half.
func sshKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(s.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, file
}

func TestDebugSwitchesSSHOnAndOff(t *testing.T) {
	alone(t)
	at, err := theLab.Forward(22, 22)
	if err != nil {
		t.Fatal(err)
	}
	mine, file := sshKey(t)
	other, _ := sshKey(t)
	var fingerprint string
	dial := func(auth ...ssh.AuthMethod) (*ssh.Client, error) {
		return ssh.Dial("tcp", at, &ssh.ClientConfig{User: "root", Auth: auth, Timeout: harness.Patience,
			HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
				if got := ssh.FingerprintSHA256(k); got != fingerprint {
					return fmt.Errorf("host key %s, want %s", got, fingerprint)
				}
				return nil
			}})
	}
	if _, err := dial(ssh.PublicKeys(mine)); err == nil {
		t.Fatal("it is on from the beginning")
	}
	enable := func(args ...string) {
		t.Helper()
		out := mustMachine(t, "", "debug", append([]string{"--enable-ssh"}, args...)...)
		_, after, ok := strings.Cut(out, "the host key is ")
		if !ok {
			t.Fatalf("no host key in %s", out)
		}
		fingerprint = strings.TrimSpace(after)
	}
	enable("--authorized-key", file, "--ssh-time", "10m")
	if _, err := dial(ssh.PublicKeys(other)); err == nil {
		t.Error("another key is let in")
	}
	c, err := dial(ssh.PublicKeys(mine))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	output := func(c *ssh.Client, command string) string {
		t.Helper()
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.CombinedOutput(command)
		if err != nil {
			t.Errorf("%s: %v %s", command, err, out)
		}
		return string(out)
	}
	if o := output(c, "hostname; id -u; ps | grep -c 'vicd --config'"); !strings.HasPrefix(o, "e2e\n0\n") {
		t.Errorf("%q", o)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	var screen bytes.Buffer
	s.Stdin, s.Stdout = strings.NewReader("stty size; exit 3\n"), &screen
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 || !strings.Contains(screen.String(), "24 80") ||
		!strings.Contains(screen.String(), "e2e:/# ") {
		t.Errorf("a shell on a terminal: %v %q", err, screen.String())
	}

	enable("--rootpw", "t0p-secret") // which ends the connection of before
	_ = c.Wait()
	if _, err := dial(ssh.PublicKeys(mine)); err == nil {
		t.Error("the key of before is let in")
	}
	byPassword, err := dial(ssh.Password("t0p-secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer byPassword.Close()
	if o := output(byPassword, "cat /proc/1/comm"); o != "tether\n" && o != "init\n" {
		t.Errorf("PID 1 is %q", o)
	}
	if log, err := theLab.Vic("version"); err != nil {
		t.Error(log, err) // vicd did not notice
	}
	mustMachine(t, "", "debug", "--disable-ssh")
	ended := make(chan error, 1)
	go func() { ended <- byPassword.Wait() }()
	select {
	case <-ended:
	case <-time.After(harness.Patience):
		t.Error("who is logged in stays")
	}
	if _, err := dial(ssh.Password("t0p-secret")); err == nil {
		t.Error("it is still on")
	}

	// A reset ends it too, though vSphere still holds what was asked for.
	enable("--authorized-key", file)
	again, err := dial(ssh.PublicKeys(mine))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	resetEndpoint(t)
	for _, n := range []string{"50", "0"} {
		mustMachine(t, "", "configure", "--containers", n) // by which the endpoint has looked at what is asked of it
	}
	if _, err := dial(ssh.PublicKeys(mine)); err == nil {
		t.Error("it is on after a reset")
	}
}
