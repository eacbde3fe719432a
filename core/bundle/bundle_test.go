package bundle

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSecretsAreInNoFile has them in a configuration file, and quoted from it in others.
func TestSecretsAreInNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hub.toml")
	text := "[roles]\nauth = ['local']\n[s3]\nsecret_key = 'hunter2'\npassword = 'swordfish'\ncredentials = '/etc/credentials'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &Bundle{}
	b.Secret("xyzzy")
	b.Secret("") // of a configuration that has none
	b.Add("log", "local: hunter2 is refused, and xyzzy; Authorization: Bearer abc.def token=plugh /etc/credentials\n")
	b.Config(file)
	b.Config(file + ".none")
	b.JSON("state", map[string]string{"why": "swordfish is wrong"})
	b.Process()
	var packed bytes.Buffer
	if err := b.Write(&packed, "top", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "swordfish", "xyzzy", "abc.def", "plugh"} {
		if bytes.Contains(all, []byte(secret)) {
			t.Errorf("%s is in the bundle", secret)
		}
	}
	for _, want := range []string{"local: [removed] is refused, and [removed];", "auth = ['local']", "/etc/credentials", "top/config" + file[:20], ".missing", "goroutine"} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("the bundle has no %s", want)
		}
	}
	if err := b.Write(broken{}, "top", time.Unix(1, 0)); err == nil {
		t.Error("a writer's error is lost")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestCleaningTwiceIsCleaningOnce(t *testing.T) {
	c := NewCleaner()
	for _, in := range []string{`password_file=/run/x y`, `{"token": "abc"}`, `https://a:b@c/`, `secret='x y'`} {
		once := c.Clean(in)
		if twice := c.Clean(once); twice != once || !strings.Contains(once, removed) {
			t.Errorf("%q became %q, and then %q", in, once, twice)
		}
	}
}
