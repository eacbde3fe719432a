package site

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/bundle"
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
	all := s.gather(r)
	name := fmt.Sprintf("vic-%s-%s", s.Name, s.Now().UTC().Format("20060102T150405Z"))
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".tar.gz"))
	_ = all.Write(w, name, s.Now()) // the client is gone
}

// gather collects the files.
func (s *site) gather(r *http.Request) *bundle.Bundle {
	all := &bundle.Bundle{}
	all.Add("README.txt", fmt.Sprintf(bundleReadme, s.Name, s.Now().UTC().Format(time.RFC3339), s.Version, access.From(r.Context()).Name))
	for _, f := range s.Files() {
		all.Config(f)
	}
	var text strings.Builder
	_, _ = s.Logs.WriteLast(&text, 1<<30)
	all.Add("vicd.log", text.String())
	plugins := s.Plugins.List()
	for i := range plugins {
		plugins[i].Example = ""
	}
	all.JSON("plugins.json", plugins)
	all.JSON("containers.json", s.Containers())
	rep, problem := s.platform(r.Context(), bundleEvents)
	all.JSON("platform.json", map[string]any{"platform": rep, "problem": problem, "waitingFor": s.WaitingFor()})
	text.Reset()
	if err := s.Metrics.Write(&text); err != nil {
		fmt.Fprintln(&text, "#", err)
	}
	all.Add("metrics.txt", text.String())
	all.Process()
	return all
}
