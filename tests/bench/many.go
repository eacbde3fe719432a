package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-connections/tlsconfig"

	"github.com/openvic/vic/tests/harness"
)

const (
	atOnce      = 50
	atOnceFor   = 10 * time.Minute
	manyStopped = 1000
	createTurns = 8 // clients that create at a time
)

// version is the baseline of what asks for a list: docker version, which asks for nothing.
func (b *bench) version() (time.Duration, error) {
	var all []time.Duration
	for range 7 {
		d, err := b.timed("version")
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	return median(all), nil
}

// atOnce is benchmark (g): 50 docker run -d at the same time, over docker version and over one
// docker run -d alone.
func (b *bench) atOnce() error {
	if _, err := b.must("pull", "-q", "busybox"); err != nil {
		return err
	}
	version, err := b.version()
	if err != nil {
		return err
	}
	run := []string{"run", "-d", "-m", "128m", "--label", "bench=atonce", "busybox", "sleep", "3600"}
	defer b.removeAll("bench=atonce")
	alone, err := b.timed(run...)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	failures := make(chan string, atOnce)
	ctx, cancel := context.WithTimeout(context.Background(), atOnceFor)
	defer cancel()
	start := time.Now()
	for range atOnce {
		wg.Go(func() {
			if out, err := b.DockerCmd(ctx, run...).CombinedOutput(); err != nil {
				failures <- fmt.Sprintf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	close(failures)
	n := len(failures)
	row("(g) %d docker run -d at once: %s, %d failures; one alone: %s, ratio to %d of these %.2f; docker version: %s, ratio %.0f",
		atOnce, seconds(took), n, seconds(alone), atOnce, took.Seconds()/alone.Seconds()/atOnce, seconds(version), took.Seconds()/version.Seconds())
	if n > 0 {
		return errors.New(<-failures)
	}
	return nil
}

func (b *bench) removeAll(label string) {
	ids, err := b.must("ps", "-aq", "--filter", "label="+label)
	if err != nil || strings.TrimSpace(ids) == "" {
		return
	}
	_ = b.DockerCmd(context.Background(), append([]string{"rm", "-f"}, strings.Fields(ids)...)...).Run()
}

// many is benchmark (h): 1,000 containers are created through the API, and docker ps -a lists them,
// over docker version.
func (b *bench) many() error {
	if _, err := b.must("pull", "-q", "busybox"); err != nil {
		return err
	}
	client, err := b.api()
	if err != nil {
		return err
	}
	defer b.removeAll("bench=many")
	start, last := time.Now(), time.Now()
	for done := 0; done < manyStopped; done += manyStopped / 4 {
		if err := createMany(client, manyStopped/4); err != nil {
			return err
		}
		row("(h) containers %4d to %4d created in %s, %.0f ms each", done+1, done+manyStopped/4, seconds(time.Since(last)),
			time.Since(last).Seconds()*1e3/(manyStopped/4))
		last = time.Now()
	}
	took := time.Since(start)
	version, err := b.version()
	if err != nil {
		return err
	}
	var list []time.Duration
	for range 7 {
		d, err := b.timed("ps", "-a", "-q")
		if err != nil {
			return err
		}
		list = append(list, d)
	}
	row("(h) docker ps -a with %d stopped containers: %s; docker version: %s; ratio %.2f; the containers were created in %s, %d at a time",
		manyStopped, seconds(median(list)), seconds(version), median(list).Seconds()/version.Seconds(), seconds(took), createTurns)
	return nil
}

// api is a client of the Docker API with the VCH's certificates.
func (b *bench) api() (*http.Client, error) {
	file := func(name string) string { return filepath.Join(b.Certs, name) }
	c, err := tlsconfig.Client(tlsconfig.Options{CAFile: file("ca.pem"), CertFile: file("cert.pem"), KeyFile: file("key.pem"), ExclusiveRootPools: true})
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, MaxIdleConnsPerHost: createTurns}, Timeout: 5 * time.Minute}, nil
}

func createMany(client *http.Client, n int) error {
	var wg sync.WaitGroup
	slots, failures := make(chan struct{}, createTurns), make(chan error, n)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := create(client); err != nil {
				failures <- err
			}
		})
	}
	wg.Wait()
	close(failures)
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d creates failed, one so: %w", len(failures), n, <-failures)
	}
	return nil
}

func create(client *http.Client) error {
	body := `{"Image":"busybox","Cmd":["true"],"Labels":{"bench":"many"},"HostConfig":{"Memory":134217728}}`
	resp, err := client.Post("https://"+harness.DockerAddr+"/v1.44/containers/create", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	var m struct{ Message string }
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "create:", m.Message)
	return fmt.Errorf("%s: %s", resp.Status, m.Message)
}
