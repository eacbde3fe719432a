package appliance

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxServiceLog bounds a service's log file; one older file is kept beside it.
const maxServiceLog = 8 << 20

// serviceLog writes a service's output to its file and to the console.
type serviceLog struct {
	path    string
	f       *os.File
	size    int64
	limit   int64
	console *os.File
	syslog  *syslog // may be nil
	name    string  // of the service
}

func openServiceLog(path string, console *os.File) (*serviceLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("service log: %w", err)
	}
	l := &serviceLog{path: path, limit: maxServiceLog, console: console}
	return l, l.open()
}

func (l *serviceLog) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("service log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("service log: %w", err)
	}
	l.f, l.size = f, st.Size()
	return nil
}

// Write implements io.Writer. It never fails: a service must not stop because its log cannot be
// kept.
func (l *serviceLog) Write(b []byte) (int, error) {
	if l.console != nil {
		_, _ = l.console.Write(b)
	}
	l.syslog.write(l.name, b)
	if l.f != nil && l.size > 0 && l.size+int64(len(b)) > l.limit {
		l.f.Close()
		l.f = nil
		if os.Rename(l.path, l.path+".1") == nil {
			_ = l.open()
		}
	}
	if l.f != nil {
		n, _ := l.f.Write(b)
		l.size += int64(n)
	}
	return len(b), nil
}

// copy writes what r gives; the channel is closed at its end.
func (l *serviceLog) copy(r io.Reader) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(l, struct{ io.Reader }{r})
	}()
	return done
}

func (l *serviceLog) close() {
	if l.f != nil {
		l.f.Close()
	}
}
