module github.com/weir-dev/weir/test

go 1.26.0

require (
	github.com/weir-dev/weir/embedded v0.0.0
	github.com/weir-dev/weir/pkg v0.0.0
	github.com/weir-dev/weir/services/embedder v0.0.0
	github.com/weir-dev/weir/services/generator v0.0.0
	github.com/weir-dev/weir/services/ingestor v0.0.0
	github.com/weir-dev/weir/services/router v0.0.0
)

replace github.com/weir-dev/weir/pkg => ../pkg

replace github.com/weir-dev/weir/embedded => ../embedded

replace github.com/weir-dev/weir/services/ingestor => ../services/ingestor

replace github.com/weir-dev/weir/services/embedder => ../services/embedder

replace github.com/weir-dev/weir/services/router => ../services/router

replace github.com/weir-dev/weir/services/generator => ../services/generator
