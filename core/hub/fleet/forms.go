package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openvic/vic/core/hub/vchs"
)

// Bounds of what a VCH tells of a container; what is longer is cut. They are in bytes and numbers.
const (
	maxText   = 512
	maxPorts  = 64
	maxNames  = 16
	maxLabels = 64
)

// Kind is what a Change is about.
type Kind string

// The kinds of changes.
const (
	KindVCH       Kind = "vch"       // State is new
	KindGone      Kind = "vch-gone"  // the VCH is not the hub's any more, nor are its containers
	KindContainer Kind = "container" // Container is new
	KindRemoved   Kind = "removed"   // the container ID is gone
	KindThings    Kind = "things"    // something else changed there: ID is network, volume or image
)

// Change is one thing that is different from before.
type Change struct {
	Number    uint64
	Kind      Kind
	VCH       int64
	ID        string
	State     State
	Container Container
	// Projects are the numbers of those whose resource the VCH is; of one that is gone, was.
	Projects []int64
}

// State is what is known of a VCH.
type State struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// Address is host:port of the Docker API; empty until vic-machine has said it.
	Address string `json:"address"`
	// Up says that it answers. Away tells why it does not. Since is when that began, in seconds since 1970.
	Up    bool   `json:"up"`
	Away  string `json:"away,omitempty"`
	Since int64  `json:"since"`
	// Version, CPUs, Memory (bytes) and Running are what it said of itself last.
	Version    string `json:"version,omitempty"`
	CPUs       int    `json:"cpus,omitempty"`
	Memory     int64  `json:"memory,omitempty"`
	Containers int    `json:"containers"`
	Running    int    `json:"running"`

	projects []int64
}

// Projects are the numbers of those whose resource the VCH is.
func (s State) Projects() []int64 { return s.projects }

// Container is one, as lists show it.
type Container struct {
	VCH   int64  `json:"vch"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Image string `json:"image"`
	// State is Docker's: created, running, paused, restarting, removing, exited or dead. Health is starting, healthy,
	// unhealthy or empty; ExitCode is of one that has exited.
	State    string `json:"state"`
	Health   string `json:"health,omitempty"`
	ExitCode int    `json:"exit_code,omitempty"`
	// Created and Since (of the state) are in seconds since 1970. Since is as exact as Docker's status text: to the minute
	// in the first hour.
	Created  int64    `json:"created"`
	Since    int64    `json:"since,omitempty"`
	Command  string   `json:"command,omitempty"`
	Ports    []Port   `json:"ports,omitempty"`
	Networks []string `json:"networks,omitempty"`
	Address  string   `json:"address,omitempty"` // in the first network
	// Application and Service are of Compose's labels.
	Application string            `json:"application,omitempty"`
	Service     string            `json:"service,omitempty"`
	Labels      map[string]string `json:"-"`
}

// Port is one that a container serves at; Public is 0 if it is not published.
type Port struct {
	Address string `json:"address,omitempty"`
	Public  uint16 `json:"public,omitempty"`
	Private uint16 `json:"private"`
	Type    string `json:"type"`
}

// listed is an entry of GET /containers/json, as far as it is used here.
type listed struct {
	ID      string
	Names   []string
	Image   string
	Command string
	Created int64
	Ports   []struct {
		IP          string
		PrivatePort uint16
		PublicPort  uint16
		Type        string
	}
	Labels          map[string]string
	State           string
	Status          string
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

var (
	containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)
	states      = []string{"created", "running", "paused", "restarting", "removing", "exited", "dead"}
)

// containers are those of a list, without their VCH.
type containers []Container

// container makes one, without its VCH, of what that told at a time; false if it is no container.
func (l listed) container(now time.Time) (Container, bool) {
	if !containerID.MatchString(l.ID) || !slices.Contains(states, l.State) {
		return Container{}, false
	}
	c := Container{ID: l.ID, Image: cut(l.Image), Command: cut(l.Command), State: l.State, Created: l.Created,
		Application: cut(l.Labels["com.docker.compose.project"]), Service: cut(l.Labels["com.docker.compose.service"])}
	for _, n := range l.Names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") { // others are links
			c.Name = cut(n)
			break
		}
	}
	c.Since, c.ExitCode, c.Health = status(l.Status, now)
	for _, p := range l.Ports[:min(len(l.Ports), maxPorts)] {
		c.Ports = append(c.Ports, Port{cut(p.IP), p.PublicPort, p.PrivatePort, cut(p.Type)})
	}
	slices.SortFunc(c.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Private, b.Private), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Public, b.Public), cmp.Compare(a.Address, b.Address))
	})
	names := slices.Sorted(maps.Keys(l.NetworkSettings.Networks))
	for _, n := range names[:min(len(names), maxNames)] {
		c.Networks = append(c.Networks, cut(n))
		c.Address = cmp.Or(c.Address, cut(l.NetworkSettings.Networks[n].IPAddress))
	}
	for _, k := range slices.Sorted(maps.Keys(l.Labels)) {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		if len(c.Labels) < maxLabels {
			c.Labels[cut(k)] = cut(l.Labels[k])
		}
	}
	return c, true
}

// cut is a text of at most maxText bytes that is UTF-8.
func cut(s string) string {
	if len(s) > maxText {
		s = strings.Clone(s[:maxText]) // the rest is not kept with it
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	return s
}

// The status texts of Docker's lists: "Up 5 minutes (healthy)", "Exited (137) About an hour ago", "Up Less than a second".
var (
	statusSpan   = regexp.MustCompile(`(?i)\b(less than a|about an|about a|[0-9]{1,6}) (second|minute|hour|day|week|month|year)s?\b`)
	statusExit   = regexp.MustCompile(`^(?:Exited|Restarting) \(([0-9]{1,3})\)`)
	statusHealth = regexp.MustCompile(`\((healthy|unhealthy|health: starting)\)`)
	spans        = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
		"week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "year": 365 * 24 * time.Hour}
)

// status reads a status text of a time: when the state began, in seconds since 1970 (0: it does not say), the exit code,
// and the health.
func status(s string, now time.Time) (since int64, exit int, health string) {
	s = cut(s)
	if m := statusSpan.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			n = 1
			if strings.HasPrefix(strings.ToLower(m[1]), "less") {
				n = 0
			}
		}
		since = now.Add(-time.Duration(n) * spans[strings.ToLower(m[2])]).Unix()
	}
	if m := statusExit.FindStringSubmatch(s); m != nil {
		exit, _ = strconv.Atoi(m[1]) // three digits
	}
	if m := statusHealth.FindStringSubmatch(s); m != nil {
		health = strings.TrimPrefix(m[1], "health: ")
	}
	return since, exit, health
}

// same says whether nobody sees a difference. Since is read from a text that grows coarser: it moves by itself.
func (c Container) same(d Container) bool {
	c.Since, d.Since = 0, 0
	a, err := json.Marshal(c)
	if err != nil {
		return false
	}
	b, err := json.Marshal(d)
	return err == nil && string(a) == string(b) && maps.Equal(c.Labels, d.Labels)
}

// state is of a host. The caller holds fleet.mu.
func (h *host) state() State {
	s := h.said
	s.ID, s.Name, s.Address, s.Up, s.Away, s.Since = h.vch.ID, h.vch.Name, h.vch.Address, h.away == "", h.away, h.since.Unix()
	s.Containers, s.Running, s.projects = len(h.containers), h.running, h.vch.Projects
	return s
}

// reachedAs says whether a VCH is still reached as this host is.
func (h *host) reachedAs(v vchs.VCH) bool {
	type way struct{ address, name, ca, certificate string }
	of := func(v vchs.VCH) way { return way{v.Address, v.ServerName, v.ServerCA, v.Certificate} }
	return of(h.vch) == of(v)
}

// String is for logs.
func (h *host) String() string { return fmt.Sprintf("%d (%s)", h.vch.ID, h.vch.Name) }
