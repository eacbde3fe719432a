// Package bundle makes log bundles of the core hosts: archives for those who help to find out what is wrong, without
// secrets in them.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path"
	"runtime/pprof"
	"strings"
	"time"
)

// Bundle gathers files. It is used by one goroutine.
type Bundle struct {
	files  []file
	config map[string]string // by path, to learn their secrets
	known  []string
}

type file struct{ name, text string }

// Add adds a file. Its secrets are removed when the bundle is written.
func (b *Bundle) Add(name, text string) { b.files = append(b.files, file{name, text}) }

// JSON adds a file with a value.
func (b *Bundle) JSON(name string, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		text = []byte(err.Error())
	}
	b.Add(name, string(text)+"\n")
}

// Config adds a configuration file of this machine, as config/PATH. The values of its secret keys are removed from all files.
func (b *Bundle) Config(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		b.Add(path.Join("config", file)+".missing", err.Error()+"\n")
		return
	}
	if b.config == nil {
		b.config = map[string]string{}
	}
	b.config[file] = string(text)
	b.Add(path.Join("config", file), string(text))
}

// Secret tells of a text that is removed from all files. One that is shorter than four bytes is not looked for.
func (b *Bundle) Secret(s string) { b.known = append(b.known, s) }

// Process adds what this program does just now, and the state of the machine's kernel.
func (b *Bundle) Process() {
	var stacks bytes.Buffer
	if p := pprof.Lookup("goroutine"); p != nil {
		_ = p.WriteTo(&stacks, 1)
	}
	b.Add("goroutines.txt", stacks.String())
	for _, f := range []string{"/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/mounts", "/proc/net/dev", "/proc/version"} {
		if text, err := os.ReadFile(f); err == nil {
			b.Add("system/"+strings.ReplaceAll(strings.TrimPrefix(f, "/proc/"), "/", "-"), string(text))
		}
	}
}

// Write writes the bundle as a tar.gz whose files are in the folder name. An error is the writer's.
func (b *Bundle) Write(w io.Writer, name string, now time.Time) error {
	clean := newRedactor(b.config, b.known...)
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	for _, f := range b.files {
		text := clean.clean(f.text)
		h := &tar.Header{Name: path.Join(name, f.name), Mode: 0o600, Size: int64(len(text)), ModTime: now}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zip.Close()
}
