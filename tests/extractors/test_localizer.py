"""Localizer against localize() on features computed by hand, and its manners: hooks, modes, memory, threads."""

import copy
import gc
import pickle
import threading
import types
import weakref

import pytest
import torch
from classifiers import C, K, N, Net, Variant, by_hand, hooks
from torch import nn
from torch.nn import functional as F

import fastcam


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class TestWhatItReturns:
    def test_top_1_is_localize_on_the_features(self, model, images):
        logits, found = fastcam.Localizer(model)(images, return_maps=True, return_masks=True)
        expected_logits, expected = by_hand(model, images, return_maps=True, return_masks=True)
        assert torch.equal(logits, expected_logits)
        for name in ("boxes", "areas", "thresholds", "labels", "maps", "masks"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name
        assert (found.areas > 0).any()
        assert found.maps.shape == (N, 40, 32)

    def test_scores_are_the_softmax_at_the_classes(self, model, images):
        logits, found = fastcam.Localizer(model)(images, [[0, 4], [1, 1], [3, 2]])
        table = logits.softmax(1)
        expected = [[table[0, 0], table[0, 4]], [table[1, 1]] * 2, [table[2, 3], table[2, 2]]]
        assert found.scores.dtype == torch.float32
        assert torch.equal(found.scores, torch.tensor(expected))

    @pytest.mark.parametrize("index", [2, [2] * N, torch.full((N,), 2), torch.full((N,), 2, dtype=torch.uint8)])
    def test_one_class(self, model, images, index):
        _, found = fastcam.Localizer(model)(images, index)
        _, expected = by_hand(model, images, [2] * N)
        assert torch.equal(found.boxes, expected.boxes)
        assert found.labels.tolist() == [2] * N
        assert found.scores.shape == (N,)

    def test_several_classes(self, model, images):
        index = torch.tensor([[0, 4], [1, 1], [3, 2]])
        _, found = fastcam.Localizer(model)(images, index)
        assert torch.equal(found.boxes, by_hand(model, images, index)[1].boxes)
        assert found.boxes.shape == (N, 2, 4)

    def test_top_k(self, model, images):
        logits, found = fastcam.Localizer(model)(images, top_k=3)
        assert torch.equal(found.labels, logits.topk(3).indices)
        assert (found.scores.diff(dim=1) <= 0).all()
        assert torch.equal(found.boxes[:, 0], fastcam.Localizer(model)(images)[1].boxes)

    def test_size_protocol_and_the_two_numbers_are_handed_on(self, model, images):
        sizes = [(10, 20), (30, 30), (7, 5)]
        kwargs = {"size": sizes, "protocol": fastcam.AUTHORS, "percentile": 95, "threshold": 0.6, "return_maps": True}
        _, found = fastcam.Localizer(model)(images, **kwargs)
        _, expected = by_hand(model, images, **kwargs)
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.thresholds, expected.thresholds)
        assert [tuple(one.shape) for one in found.maps] == sizes

    def test_no_images(self, model):
        logits, found = fastcam.Localizer(model)(torch.rand(0, 3, 40, 32))
        assert logits.shape == (0, K)
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)

    def test_object_with_logits(self, images):
        model = Variant(lambda m, x: types.SimpleNamespace(logits=Net.forward(m, x))).eval()
        logits, _ = fastcam.Localizer(model)(images)
        assert torch.equal(logits, Net.forward(model, images))

    def test_one_by_one_convolution_as_head(self, images):
        def forward(m, x):
            return m.fc(m.pool(m.layer4(m.stem(x))))

        model = Variant(forward, fc=nn.Conv2d(C, K, 1)).eval()
        logits, found = fastcam.Localizer(model)(images)
        assert logits.shape == (N, K)
        assert torch.equal(found.boxes, by_hand(model, images, logits.argmax(1))[1].boxes)

    def test_convolution_before_the_pooling(self, images):
        model = Variant(lambda m, x: m.fc(m.layer4(m.stem(x))).mean((2, 3)), fc=nn.Conv2d(C, K, 1)).eval()
        logits, found = fastcam.Localizer(model)(images, return_maps=True)
        # The map of such a head, without clamping, is its own output before the bias.
        direct = model.fc(model.layer4(model.stem(images))) - model.fc.bias[:, None, None]
        _, plain = fastcam.Localizer(model)(images, size=direct.shape[2:], protocol=fastcam.VANILLA, return_maps=True)
        assert torch.allclose(plain.maps, direct[range(N), logits.argmax(1)], atol=1e-6)
        assert found.maps.shape == (N, 40, 32)

    def test_num_classes(self, model):
        assert fastcam.Localizer(model).num_classes == K


class TestWhereItListens:
    def test_input_of_a_module(self, images):
        model = Variant(lambda m, x: m.fc(m.pool(F.relu(m.layer4[0](m.stem(x)))).flatten(1))).eval()
        _, found = fastcam.Localizer(model, features="pool:input")(images, return_maps=True)
        assert torch.equal(found.maps, by_hand(model, images, found.labels, return_maps=True)[1].maps)

    def test_input_given_by_keyword(self, images):
        class Pool(nn.Module):
            def forward(self, *, x):
                return x.mean((2, 3))

        model = Variant(lambda m, x: m.fc(m.pool(x=m.layer4(m.stem(x)))), pool=Pool()).eval()
        _, found = fastcam.Localizer(model, features="pool:input")(images)
        assert torch.equal(found.boxes, by_hand(model, images, found.labels)[1].boxes)

    def test_the_last_call_wins(self, images):
        shared = nn.ReLU()
        model = Variant(lambda m, x: m.fc(m.pool(shared(m.layer4[0](shared(m.stem(x))))).flatten(1)), act=shared).eval()
        _, found = fastcam.Localizer(model, features="act")(images)
        features = model.layer4[0](shared(model.stem(images)).detach()).relu().detach()
        expected = fastcam.localize(features, model.fc.weight, found.labels, size=(40, 32))
        assert torch.equal(found.boxes, expected.boxes)

    def test_in_place_activation_after_the_module(self, images):
        def forward(m, x):
            return m.fc(F.relu(m.layer4[0](m.stem(x)), inplace=True).mean((2, 3)))

        model = Variant(forward).eval()
        _, found = fastcam.Localizer(model, features="layer4.0")(images, return_maps=True)
        assert torch.equal(found.maps, by_hand(model, images, found.labels, return_maps=True)[1].maps)

    def test_other_hooks_that_replace_the_output_are_respected(self, model, images):
        model.layer4.register_forward_hook(lambda _, __, output: output * 2)
        fastcam.Localizer(model)(images)  # a mismatch would be a warning, which is an error here

    def test_a_module_under_two_names(self, model, images):
        model.also = model.layer4
        boxes = fastcam.Localizer(model, features="also")(images)[1].boxes
        assert torch.equal(boxes, fastcam.Localizer(model)(images)[1].boxes)

    @pytest.mark.parametrize("in_place", [False, True])
    def test_compiled_models_run_in_eager_mode(self, model, images, in_place):
        expected = fastcam.Localizer(model)(images)[1]
        compiled = copy.deepcopy(model)
        if in_place:
            compiled.compile(backend="eager")
        else:
            compiled = torch.compile(compiled, backend="eager")
        compiled(images)  # traced without hooks
        _, found = fastcam.Localizer(compiled)(images)
        assert torch.equal(found.boxes, expected.boxes)

    def test_threads_do_not_hear_each_other(self, model):
        # Each thread's forward pass waits inside the other's, after the features of both were computed.
        barrier = threading.Barrier(2, timeout=20)
        waiting = model.pool.register_forward_pre_hook(lambda *_: (barrier.wait(), None)[1])
        localizer, found = fastcam.Localizer(model), {}
        batches = [torch.rand(2, 3, 40, 32), torch.rand(2, 3, 40, 32)]

        def work(number):
            found[number] = localizer(batches[number], 0, return_maps=True)[1].maps

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        waiting.remove()
        for number, batch in enumerate(batches):
            assert torch.equal(found[number], by_hand(model, batch, [0, 0], return_maps=True)[1].maps)


class TestManners:
    def test_hooks_exist_only_during_a_call(self, model, images):
        during = []
        model.pool.register_forward_pre_hook(lambda *_: during.append(hooks(model)))
        with fastcam.Localizer(model) as localizer:
            assert hooks(model) == 1
            localizer(images)
            assert hooks(model) == 1
        assert during == [3]

    def test_hooks_go_when_the_forward_pass_fails(self, model):
        with pytest.raises(RuntimeError):
            fastcam.Localizer(model)(torch.rand(1, 4, 40, 32))
        assert hooks(model) == 0

    def test_nothing_is_retained(self, model, images):
        seen = []
        model.pool.register_forward_pre_hook(lambda _, args: seen.append(weakref.ref(args[0])))
        localizer = fastcam.Localizer(model)
        gc.disable()  # freed by reference counts alone, without waiting for the collector
        try:
            localizer(images)
            assert [one() for one in seen] == [None]
        finally:
            gc.enable()

    def test_the_model_can_be_pickled_and_copied_meanwhile(self, model, images):
        localizer = fastcam.Localizer(model)
        boxes = localizer(images)[1].boxes
        for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert torch.equal(fastcam.Localizer(twin)(images)[1].boxes, boxes)

    @pytest.mark.parametrize("training", [False, True])
    def test_modes_gradients_and_grad_mode_stay(self, model, images, training):
        model.train(training)
        model.layer4.train(not training)
        before = [part.training for part in model.modules()]
        logits, found = fastcam.Localizer(model)(images)
        assert [part.training for part in model.modules()] == before
        assert torch.is_grad_enabled()
        assert not logits.requires_grad
        assert not found.scores.requires_grad
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_inference_mode(self, model, images):
        with torch.inference_mode():
            _, found = fastcam.Localizer(model)(images)
        assert torch.equal(found.boxes, by_hand(model, images)[1].boxes)

    def test_new_weights_are_seen(self, model, images):
        localizer = fastcam.Localizer(model)
        localizer(images)
        with torch.no_grad():
            model.fc.weight.neg_()
        _, found = localizer(images, 0)
        assert torch.equal(found.boxes, by_hand(model, images, [0] * N)[1].boxes)

    def test_close(self, images):
        model = Net()
        alive = weakref.ref(model)
        localizer = fastcam.Localizer(model)
        localizer.close()
        localizer.close()
        with pytest.raises(RuntimeError, match="closed"):
            localizer(images)
        del model
        gc.collect()
        assert alive() is None

    def test_the_model_outlives_a_forgotten_localizer_unharmed(self, model, images):
        localizer = fastcam.Localizer(model)
        localizer(images)
        gone = weakref.ref(localizer)
        del localizer
        assert gone() is None
        assert hooks(model) == 0
