package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestASecretOpensWhereItWasSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	sealed := s.Seal("robot 1", []byte("hunter2"))
	if bytes.Contains(sealed, []byte("hunter2")) || bytes.Equal(sealed, s.Seal("robot 1", []byte("hunter2"))) {
		t.Errorf("%x", sealed)
	}
	again, err := Open(path)
	if err != nil || again.ID() != s.ID() {
		t.Fatal(err)
	}
	if got, err := again.Open("robot 1", sealed); err != nil || string(got) != "hunter2" {
		t.Errorf("%q %v", got, err)
	}
	other, err := Open(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), sealed...)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"in another row":   func() ([]byte, error) { return s.Open("robot 2", sealed) },
		"with another key": func() ([]byte, error) { return other.Open("robot 1", sealed) },
		"changed":          func() ([]byte, error) { return s.Open("robot 1", changed) },
		"cut":              func() ([]byte, error) { return s.Open("robot 1", sealed[:5]) },
		"nothing":          func() ([]byte, error) { return s.Open("robot 1", nil) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opens as %q", name, got)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"read by others": {strings.Repeat("A", 43) + "=", 0o644, "chmod 600"},
		"no base64":      {"!!!", 0o600, "restore it from a backup"},
		"too short":      {"AAAA", 0o600, "restore it from a backup"},
		"empty":          {"", 0o600, "restore it from a backup"},
	} {
		path := filepath.Join(t.TempDir(), "seal.key")
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere", "seal.key")); err == nil {
		t.Error("a folder that is not there")
	}
}

func TestProcessesThatBeginTogetherHaveOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("keys %v", ids)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".seal-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
