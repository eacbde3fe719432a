package metrics

import "github.com/prometheus/client_golang/prometheus"

// state is read each time someone asks.
type state struct {
	o          Options
	containers *prometheus.Desc
	up         *prometheus.Desc
	healthy    *prometheus.Desc
	restarts   *prometheus.Desc
	ready      *prometheus.Desc
	expiry     *prometheus.Desc
}

func newState(o Options) *state {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &state{
		o:          o,
		containers: desc("containers", "Containers by state.", "state"),
		up:         desc("plugin_up", "1 if the plugin runs and is configured.", "plugin"),
		healthy:    desc("plugin_healthy", "1 if the plugin says that it is well.", "plugin"),
		restarts:   desc("plugin_restarts_total", "How often the plugin was started anew.", "plugin"),
		ready:      desc("ready", "1 if Docker requests can be answered."),
		expiry:     desc("certificate_expiry_timestamp_seconds", "When a certificate ends, in seconds since 1970.", "certificate"),
	}
}

func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.containers, s.up, s.healthy, s.restarts, s.ready, s.expiry} {
		ch <- d
	}
}

func (s *state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name, n := range s.o.Containers() {
		gauge(s.containers, float64(n), name)
	}
	for _, p := range s.o.Plugins() {
		gauge(s.up, number(p.Up), p.Name)
		gauge(s.healthy, number(p.Healthy), p.Name)
		ch <- prometheus.MustNewConstMetric(s.restarts, prometheus.CounterValue, float64(p.Restarts), p.Name)
	}
	gauge(s.ready, number(s.o.Ready()))
	for name, file := range s.o.Certificates {
		// One that cannot be read is left out: an alert on its absence finds it.
		if t, err := Expiry(file); err == nil {
			gauge(s.expiry, float64(t.Unix()), name)
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
