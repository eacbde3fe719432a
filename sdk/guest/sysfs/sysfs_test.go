package sysfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A device's files come one after another: its event follows the last of them.
func TestAFileThatComesLateIsWrittenToAtTheEvent(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var e Events
		file := filepath.Join(dir, "host0", "scan")
		done := make(chan error, 1)
		go func() { done <- e.Write(t.Context(), file, "0 3 0") }()
		for _, step := range []func() error{
			func() error { return nil }, // an event of something else
			func() error { return os.Mkdir(filepath.Dir(file), 0o700) },
			func() error { return os.WriteFile(filepath.Join(filepath.Dir(file), "proc_name"), nil, 0o600) },
		} {
			synctest.Wait()
			if err := step(); err != nil {
				t.Fatal(err)
			}
			e.Notify()
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("it did not wait for the file: %v", err)
			default:
			}
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		e.Notify()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); string(b) != "0 3 0" || err != nil {
			t.Fatalf("written: %q, %v", b, err)
		}
	})
}

func TestAFileThatNeverComesIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scan")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := new(Events).Write(ctx, file, "1")
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "wait for "+file+": context deadline exceeded" {
			t.Fatal(err)
		}
	})
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the file was made: %v", err)
	}
}

// What only this kernel can tell: O_CREATE would make EACCES of it.
func TestAFileThatIsNotThereIsSaidNotToBeThere(t *testing.T) {
	for _, path := range []string{"/proc/self/there-is-none", "/sys/kernel/there-is-none", filepath.Join(t.TempDir(), "none")} {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			t.Logf("%s is not looked at: %v", path, err)
			continue
		}
		if err := Write(path, "1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestARefusalIsNotWaitedFor(t *testing.T) {
	if err := new(Events).Write(t.Context(), t.TempDir(), "1"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("written to a directory: %v", err)
	}
}

func TestWhatIsThereIsFoundWithoutAnEvent(t *testing.T) {
	looked := 0
	if err := new(Events).Wait(t.Context(), "it", func() bool { looked++; return true }); err != nil || looked != 1 {
		t.Fatal(looked, err)
	}
}
