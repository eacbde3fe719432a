package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// spell is how long pushes are counted at a time, with and without the collector.
const spell = 4 * time.Second

// collecting measures what the collector costs those who push: images of two small blobs by four clients, in spells with a run of
// the collector under way and spells without, in turns.
func collecting(ctx context.Context, s *process) error {
	l := newLoad(s.url, 4, 1)
	if err := signUp(ctx, s, l); err != nil {
		return err
	}
	if _, err := l.images(ctx, time.Second); err != nil {
		return err
	}
	var with, without figure
	spells := 0
	for more := true; more && spells < 6; spells++ {
		if err := signIn(ctx, s, l); err != nil {
			return err
		}
		a, err := l.images(ctx, spell)
		if err != nil {
			return err
		}
		done := make(chan bool, 1)
		run, stop := context.WithTimeout(ctx, spell)
		go func() { done <- collect(run, s) == nil }()
		b, err := l.images(ctx, spell)
		stop()
		if err != nil {
			return err
		}
		more = !<-done
		without.rate, with.rate = without.rate+a.rate, with.rate+b.rate
		fmt.Printf("images pushed: %s alone, %s beside the collector\n", a, b)
	}
	fmt.Printf("beside the collector %.2f of the pushes alone\n", with.rate/without.rate)
	began := time.Now()
	if err := collect(ctx, s); err != nil {
		return err
	}
	fmt.Printf("the rest was collected in %.1f s with nothing else to do\n", time.Since(began).Seconds())
	return nil
}

// collect has the hub collect until ctx ends.
func collect(ctx context.Context, s *process) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/bench/collect", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var did any
	if err := json.NewDecoder(res.Body).Decode(&did); err != nil {
		return err
	}
	fmt.Println("the collector is done:", did)
	return nil
}

// images pushes small images for a time.
func (l *load) images(ctx context.Context, d time.Duration) (figure, error) {
	end := time.Now().Add(d)
	return l.run(1<<30, func(int) error {
		if time.Now().After(end) {
			return errEnough
		}
		n := l.serial.Add(1)
		var m v1.Manifest
		m.SchemaVersion, m.MediaType = 2, v1.MediaTypeImageManifest
		for i := range 2 {
			b, err := l.push(ctx, fmt.Appendf(make([]byte, 1000), "%d %d %d", time.Now().UnixNano(), n, i))
			if err != nil {
				return err
			}
			m.Layers = append(m.Layers, b)
		}
		m.Config, m.Layers = m.Layers[0], m.Layers[1:]
		m.Config.MediaType = v1.MediaTypeImageConfig
		body, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = l.call(ctx, "PUT", fmt.Sprintf("%s/manifests/c%d", repo, n), v1.MediaTypeImageManifest, body, http.StatusCreated)
		return err
	})
}
