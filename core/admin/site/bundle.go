package site

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
)

// bundleEvents is how many events go into a bundle.
const bundleEvents = 500

const bundleReadme = `A log bundle of the VCH %s, made %s by vicd %s for %s.

vicd.log         the last lines of vicd and of its plugins
plugins.json     the plugins' states
containers.json  the containers, without their environment and commands
platform.json    datastores and the latest events, as the compute plugin tells them
metrics.txt      what Prometheus would have been told
goroutines.txt   what vicd does just now
config/          configuration files
system/          of the endpoint VM's kernel

Values of secret keys, private keys, passwords in URLs and authorization headers were removed from
every file; look through it before you pass it on all the same. The consoles of the container VMs are
in the bundle of vic-machine debug; output of containers is in neither.
`

// bundle sends the log bundle.
func (s *site) bundle(w http.ResponseWriter, r *http.Request) {
	s.Log.Info("admin site: log bundle", "caller", access.From(r.Context()).Name)
	files := s.gather(r)
	name := fmt.Sprintf("vic-%s-%s", s.Name, s.Now().UTC().Format("20060102T150405Z"))
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".tar.gz"))
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	for _, f := range files {
		h := &tar.Header{Name: path.Join(name, f.name), Mode: 0o600, Size: int64(len(f.text)), ModTime: s.Now()}
		if out.WriteHeader(h) != nil {
			return // the client is gone
		}
		if _, err := out.Write([]byte(f.text)); err != nil {
			return
		}
	}
	_ = out.Close()
	_ = zip.Close()
}

type bundleFile struct{ name, text string }

// gather collects the files, clean.
func (s *site) gather(r *http.Request) []bundleFile {
	config := map[string]string{}
	var all []bundleFile
	add := func(name, text string) { all = append(all, bundleFile{name, text}) }
	for _, f := range s.Files() {
		b, err := os.ReadFile(f)
		if err != nil {
			add(path.Join("config", f)+".missing", err.Error()+"\n")
			continue
		}
		config[f] = string(b)
		add(path.Join("config", f), string(b))
	}
	clean := newRedactor(config)
	add("README.txt", fmt.Sprintf(bundleReadme, s.Name, s.Now().UTC().Format(time.RFC3339), s.Version, access.From(r.Context()).Name))
	var text strings.Builder
	_, _ = s.Logs.WriteLast(&text, 1<<30)
	add("vicd.log", text.String())
	plugins := s.Plugins.List()
	for i := range plugins {
		plugins[i].Example = ""
	}
	add("plugins.json", encode(plugins))
	add("containers.json", encode(s.Containers()))
	rep, problem := s.platform(r.Context(), bundleEvents)
	add("platform.json", encode(map[string]any{"platform": rep, "problem": problem, "waitingFor": s.WaitingFor()}))
	text.Reset()
	if err := s.Metrics.Write(&text); err != nil {
		fmt.Fprintln(&text, "#", err)
	}
	add("metrics.txt", text.String())
	var stacks bytes.Buffer
	if p := pprof.Lookup("goroutine"); p != nil {
		_ = p.WriteTo(&stacks, 1)
	}
	add("goroutines.txt", stacks.String())
	for _, f := range []string{"/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/mounts", "/proc/net/dev", "/proc/version"} {
		if b, err := os.ReadFile(f); err == nil {
			add("system/"+strings.ReplaceAll(strings.TrimPrefix(f, "/proc/"), "/", "-"), string(b))
		}
	}
	for i := range all {
		all[i].text = clean.clean(all[i].text)
	}
	return all
}

func encode(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error() + "\n"
	}
	return string(b) + "\n"
}
