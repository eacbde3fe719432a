package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/openvic/vic/contrib/images/layer"
)

// BenchLayers is the number of layers of the image for the pull benchmark.
const BenchLayers = 3

// BenchFiles is the content of its i-th layer, about 33 MB: many small files and a few large ones,
// a third of the bytes random, a third text, a third nearly empty blocks. It is the same each time.
func BenchFiles(i int) []layer.File {
	random := rand.New(rand.NewPCG(uint64(i), 100))
	dir := fmt.Sprintf("bench/%d", i)
	out := []layer.File{{Name: "bench", Mode: 0o755, Dir: true}, {Name: dir, Mode: 0o755, Dir: true}}
	add := func(size int) {
		n := len(out)
		sub := fmt.Sprintf("%s/%02d", dir, n/100)
		if n%100 == 0 || n == 2 {
			out = append(out, layer.File{Name: sub, Mode: 0o755, Dir: true})
		}
		out = append(out, layer.File{Name: fmt.Sprintf("%s/%04d", sub, n), Mode: 0o644, Data: content(random, n%3, size)})
	}
	for range 600 {
		add(1<<10 + random.IntN(40<<10))
	}
	for range 10 {
		add(2 << 20)
	}
	return out
}

func content(random *rand.Rand, kind, size int) []byte {
	switch kind {
	case 0:
		data := make([]byte, size+8)
		for i := 0; i < size; i += 8 {
			binary.LittleEndian.PutUint64(data[i:], random.Uint64())
		}
		return data[:size]
	case 1:
		var text bytes.Buffer
		for text.Len() < size {
			fmt.Fprintf(&text, "line %d of a file that reads like a log: value=%d status=%d\n", text.Len(), random.IntN(1e6), random.IntN(600))
		}
		return text.Bytes()[:size]
	default:
		data := make([]byte, size)
		for i := 0; i < size; i += 512 {
			data[i] = byte(random.Uint32())
		}
		return data
	}
}
