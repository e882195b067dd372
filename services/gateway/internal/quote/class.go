package quote

import (
	"fmt"
	"math/bits"

	"github.com/weir-dev/weir/pkg/event"
)

// enough is how many jobs a class must have had for a quote to be made of it.
const enough = 20

// classes are those of a job, the most similar first. A collection is a tenant's own,
// so only the tenant's classes have it; the others pool numbers of all tenants.
func classes(tenant string, a event.Asked) []string {
	who := "model:" + a.Model
	if a.Task != "" {
		who = "task:" + a.Task
	}
	form := fmt.Sprintf("k%d s%t t%t", topK(a), a.Schema, a.Tools)
	most := fmt.Sprintf("m%d", bits.Len(uint(max(a.MaxTokens, 0))))
	size := fmt.Sprintf("p%d", bits.Len(uint(max(a.PromptTokens, 0))))
	return []string{
		join("tenant", tenant, who, a.Collection, form, most, size),
		join("tenant", tenant, who, a.Collection, form, most),
		join("tenant", tenant, who, a.Collection, form),
		join("all", who, form, most, size),
		join("all", who, form, most),
		join("all", who, form),
		join("all", who, fmt.Sprint(a.Collection != "")),
	}
}

// global is the class of all jobs, of which tokens alone can be learned.
const global = "all"

// topK tells how many chunks a job is shown: none, or about how many.
func topK(a event.Asked) int {
	if a.Collection == "" {
		return -1
	}
	return bits.Len(uint(max(a.TopK, 0)))
}

func join(parts ...string) string {
	out := parts[0]
	for _, p := range parts[1:] {
		out += "|" + p
	}
	return out
}
